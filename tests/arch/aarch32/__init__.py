"""AArch32: what is told of it, and the rules by themselves."""
