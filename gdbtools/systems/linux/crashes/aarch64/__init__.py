"""What Linux prints on AArch64 when it crashes: its lines, and the tables among them."""
