"""`clear-af`: declared, run, and shown."""
