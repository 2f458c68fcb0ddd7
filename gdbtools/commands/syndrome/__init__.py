"""`syndrome`: declared, run, and shown."""
