"""gdbtools: a live MMU debugger inside GDB."""
