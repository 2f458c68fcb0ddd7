"""The translation regimes: built from registers, each stage with its own rules."""
