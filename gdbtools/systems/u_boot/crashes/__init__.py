"""What U-Boot prints when it crashes, an architecture each."""
