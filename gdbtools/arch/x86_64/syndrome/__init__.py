"""What hardware reports of an exception: error codes."""
