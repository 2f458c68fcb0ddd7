"""Files that hold a guest: one format in each."""
