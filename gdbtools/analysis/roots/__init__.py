"""Root tables found in physical memory, with no register to go by."""
