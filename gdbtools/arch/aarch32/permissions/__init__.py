"""What an entry grants, and what domains and controls make of it."""
