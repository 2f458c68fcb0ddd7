"""`undo`: declared, run, and shown."""
