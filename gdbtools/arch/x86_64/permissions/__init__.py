"""What a path grants, and to whom."""
