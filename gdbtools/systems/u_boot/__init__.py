"""U-Boot: what it prints when it crashes."""
