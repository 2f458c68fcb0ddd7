"""Instructions: those that may be borrowed from a guest; how long each is, and what it does for a translation."""
