"""`capture`: declared, run, and shown."""
