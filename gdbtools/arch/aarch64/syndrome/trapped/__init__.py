"""Syndromes of trapped instructions, a file for each encoding."""
