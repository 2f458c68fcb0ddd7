"""edk2, and what is built of it: what it prints when it crashes."""
