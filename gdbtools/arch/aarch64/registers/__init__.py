"""System registers as words of named fields."""
