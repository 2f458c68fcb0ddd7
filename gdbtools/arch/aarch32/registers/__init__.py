"""The registers of AArch32, as words."""
