"""Exceptions: what they leave on the stack, where they are taken, and what their error codes say."""
