"""`explain`: declared, run, and shown."""
