"""gdbtools: a live MMU debugger inside GDB."""

__version__ = "0.1.0"
