"""What Hafnium prints when it crashes."""
