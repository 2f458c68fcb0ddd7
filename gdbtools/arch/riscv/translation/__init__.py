"""Stages of translation, and the regimes that they make."""
