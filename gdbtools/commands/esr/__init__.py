"""`esr`: declared, run, and shown."""
