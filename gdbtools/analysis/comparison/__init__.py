"""What differs between two looks at an address space."""
