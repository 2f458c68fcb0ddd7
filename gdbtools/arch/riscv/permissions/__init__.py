"""May this access happen: what entries grant, and what physical memory protection leaves of it."""
