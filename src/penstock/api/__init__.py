"""The API layer: HTTP in, HTTP out. Nothing below it knows HTTP."""
