"""What is known of Solo5."""
