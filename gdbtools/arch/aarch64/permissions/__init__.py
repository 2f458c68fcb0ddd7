"""May this access happen: direct and indirect permissions, overlays, and who is taken for a user."""
