"""Registers: of control, of protection keys, of memory types."""
