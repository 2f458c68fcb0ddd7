"""`find-roots`: declared, run, and shown."""
