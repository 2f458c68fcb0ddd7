"""`pte`: declared, run, and shown."""
