"""Instructions: what they are, what they did, and which may be borrowed."""
