"""Truth tables from the manuals, written apart from the code that they hold to account."""
