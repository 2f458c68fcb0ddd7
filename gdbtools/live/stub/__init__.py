"""What GDB is attached to: its memory and registers, and whether its answers can be believed."""
