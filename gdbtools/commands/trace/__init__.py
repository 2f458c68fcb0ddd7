"""`trace`: declared, run, and shown."""
