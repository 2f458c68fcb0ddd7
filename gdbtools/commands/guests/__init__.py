"""`guests`: declared, run, and shown."""
