"""What is known of XNU."""
