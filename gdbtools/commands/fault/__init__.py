"""`fault`: declared, run, and shown."""
