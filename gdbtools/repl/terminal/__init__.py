"""The terminal of a prompt: the line, the toolbar, completion, and what is printed above."""
