"""Outside GDB: the only folder that may import pygdbmi and prompt_toolkit."""
