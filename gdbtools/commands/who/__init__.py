"""`who`: declared, run, and shown."""
