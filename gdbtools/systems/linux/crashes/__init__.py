"""What Linux prints when it crashes, an architecture each."""
