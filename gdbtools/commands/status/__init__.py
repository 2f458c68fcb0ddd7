"""`status`: declared, run, and shown."""
