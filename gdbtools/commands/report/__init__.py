"""`report`: declared, run, and shown."""
