"""`tlbi`: declared, run, and shown."""
