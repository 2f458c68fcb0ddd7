"""`tables`: declared, run, and shown."""
