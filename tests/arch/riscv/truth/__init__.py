"""Truth tables from the privileged manual, written apart from the code that they hold to account."""
