"""What seL4 prints when it crashes."""
