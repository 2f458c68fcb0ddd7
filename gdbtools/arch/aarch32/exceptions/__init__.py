"""Aborts: what they leave behind, and where they are taken."""
