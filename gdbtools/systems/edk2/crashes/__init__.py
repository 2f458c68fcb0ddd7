"""What edk2 prints when it crashes, an architecture each."""
