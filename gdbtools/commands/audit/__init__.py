"""`audit`: declared, run, and shown."""
