"""What may be changed in a guest: a pure plan, then compare, write and read back."""
