"""`hardware-af`: declared, run, and shown."""
