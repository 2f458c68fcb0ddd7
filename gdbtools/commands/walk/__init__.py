"""`walk`: declared, run, and shown."""
