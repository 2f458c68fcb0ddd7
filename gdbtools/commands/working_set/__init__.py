"""`working-set`: declared, run, and shown."""
