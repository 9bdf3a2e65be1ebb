"""What the house needs from outside. Each contract stands in its port's docstring, once."""
