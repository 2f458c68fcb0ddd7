"""What illumos prints when it crashes."""
