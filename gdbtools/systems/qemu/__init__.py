"""QEMU's own log of exceptions, `-d int`, an architecture each."""
