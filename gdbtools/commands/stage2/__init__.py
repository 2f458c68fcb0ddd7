"""`stage2`: declared, run, and shown."""
