"""Xen: what it keeps of the machine's frames, and of the guests that it gives them to."""
