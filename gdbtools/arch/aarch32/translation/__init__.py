"""The translation regimes: built from registers, each format with its own rules."""
