"""What Solo5 prints when it crashes."""
