"""Traps: the record that they leave in registers, who takes them and where, and how to return."""
