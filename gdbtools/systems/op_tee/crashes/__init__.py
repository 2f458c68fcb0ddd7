"""What OP-TEE prints when it crashes, an architecture each."""
