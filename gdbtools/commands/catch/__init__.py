"""`catch`: declared, run, and shown."""
