"""What is known of FreeBSD."""
