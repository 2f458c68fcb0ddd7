"""Entries of page tables, and how addresses are cut into levels."""
