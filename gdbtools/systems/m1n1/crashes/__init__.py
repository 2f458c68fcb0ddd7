"""What m1n1 prints when it crashes."""
