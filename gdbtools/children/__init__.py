"""Programs that are started: QEMU, GDB over its machine interface, and what they are started with."""
