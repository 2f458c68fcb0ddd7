"""What XNU prints when it crashes."""
