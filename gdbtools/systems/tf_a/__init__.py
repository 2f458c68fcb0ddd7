"""Trusted Firmware-A: what it prints when it crashes."""
