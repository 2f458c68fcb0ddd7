"""Programs that are started."""
