"""`rmap`: declared, run, and shown."""
