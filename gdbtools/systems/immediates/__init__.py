"""Immediates of calls and breakpoint instructions: each a convention of whoever wrote the code."""
