"""Exceptions: the record that they leave in registers, and the code at the vectors."""
