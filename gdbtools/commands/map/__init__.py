"""`map`: declared, run, and shown."""
