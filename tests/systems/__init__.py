"""What is known of operating systems and of conventions."""
