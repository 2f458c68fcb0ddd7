"""What Zephyr prints when it crashes, an architecture each."""
