"""Zephyr: what it prints when it crashes."""
