"""`diff`: declared, run, and shown."""
