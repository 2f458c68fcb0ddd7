"""Instructions that may be borrowed from a guest: invalidations, returns, loads and stores."""
