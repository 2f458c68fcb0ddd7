"""Linux: what its kernel keeps where, and what it writes down for crash dumps."""
