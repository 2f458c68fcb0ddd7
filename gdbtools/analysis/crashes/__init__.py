"""What a crash in a log may come of, each with what speaks for it."""
