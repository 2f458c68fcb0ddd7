"""Sizes that several rooms reckon with."""

from __future__ import annotations

from typing import Final

PAGE_BYTES: Final = 1 << 12
"""The smallest page of every architecture, and what memory is read by: no table is smaller, but for a root."""
