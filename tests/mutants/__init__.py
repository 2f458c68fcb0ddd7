"""What `python -m tests.mutations` breaks, by architecture, and which breaks change nothing."""
