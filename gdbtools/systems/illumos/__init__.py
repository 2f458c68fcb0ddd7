"""What is known of illumos."""
