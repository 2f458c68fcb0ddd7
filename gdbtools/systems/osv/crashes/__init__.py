"""What OSv prints when it crashes."""
