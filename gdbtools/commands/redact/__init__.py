"""`redact`: declared, run, and shown."""
