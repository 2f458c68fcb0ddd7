"""`tasks`: declared, run, and shown."""
