"""What is known of m1n1."""
