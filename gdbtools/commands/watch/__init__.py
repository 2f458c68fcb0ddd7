"""`watch`: declared, run, and shown."""
