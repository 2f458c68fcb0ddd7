"""Logs as sources: what stands around their lines, the crashes that are gathered from them, and their symbols."""
