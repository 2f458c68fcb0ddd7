"""The commands as tools for an assistant: the only folder that may import mcp."""
