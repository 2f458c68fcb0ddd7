"""`fixup`: declared, run, and shown."""
