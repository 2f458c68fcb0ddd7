"""Translation tables: what their entries are, in both formats."""
