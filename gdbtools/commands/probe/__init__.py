"""`probe`: declared, run, and shown."""
