"""`service`: declared, run, and shown."""
