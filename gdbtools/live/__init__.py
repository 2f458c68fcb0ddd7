"""Inside GDB: the only folder that may `import gdb`."""
