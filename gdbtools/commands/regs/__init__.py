"""`regs`: declared, run, and shown."""
