"""Syndromes of debug exceptions and of profiling, a file for each encoding."""
