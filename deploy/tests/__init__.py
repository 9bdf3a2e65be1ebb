"""What can only be tried with real containers."""
