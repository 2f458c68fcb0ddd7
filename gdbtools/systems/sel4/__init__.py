"""What is known of seL4."""
