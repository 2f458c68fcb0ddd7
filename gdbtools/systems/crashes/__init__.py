"""What the crashes of several systems have in common, an architecture each."""
