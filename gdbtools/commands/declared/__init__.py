"""The commands as every face declares them; importing these imports nothing of what answers them."""
