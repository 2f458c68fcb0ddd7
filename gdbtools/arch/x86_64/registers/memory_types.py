"""The page attribute table: what PAT, PCD and PWT of an entry choose.

Source: Intel SDM volume 3, "Page Attribute Table (PAT)", with its value at reset.
"""

from __future__ import annotations

from typing import Final

from gdbtools.bits import Field, Word

TYPES: Final = {0: "UC", 1: "WC", 4: "WT", 5: "WP", 6: "WB", 7: "UC-"}
"""Uncacheable, write-combining, write-through, write-protected, write-back, and uncacheable unless MTRRs combine."""
DEVICE: Final = ("UC", "UC-", "WC")
AT_RESET: Final = 0x0007_0406_0007_0406


class PAT(Word):
    """IA32_PAT."""

    PA7 = Field((58, 56), doc="memory type 7", values=TYPES)
    PA6 = Field((50, 48), doc="memory type 6", values=TYPES)
    PA5 = Field((42, 40), doc="memory type 5", values=TYPES)
    PA4 = Field((34, 32), doc="memory type 4", values=TYPES)
    PA3 = Field((26, 24), doc="memory type 3", values=TYPES)
    PA2 = Field((18, 16), doc="memory type 2", values=TYPES)
    PA1 = Field((10, 8), doc="memory type 1", values=TYPES)
    PA0 = Field((2, 0), doc="memory type 0", values=TYPES)

    def memory_type(self, index: int) -> str:
        """Return the type that an index of 0 to 7 chooses; a reserved one is said to be that."""
        return TYPES.get(self.field(f"PA{index}").of(self), "reserved")


_COLUMNS: Final = ("UC", "UC-", "WC", "WT", "WB", "WP")
_EFFECTIVE: Final = {
    "UC": ("UC", "UC", "WC", "UC", "UC", "UC"),
    "WC": ("UC", "WC", "WC", "UC", "WC", "UC"),
    "WT": ("UC", "UC", "WC", "WT", "WT", "WP"),
    "WB": ("UC", "UC", "WC", "WT", "WB", "WP"),
    "WP": ("UC", "WC", "WC", "WT", "WP", "WP"),
}
"""By the type of a range and, in the order of the columns, that of PAT."""


def effective(of_range: str, of_page: str) -> str:
    """Return the effective type of a page in memory of a range's type: an MTRR's, or EPT's, which counts as one.

    Source: Intel SDM volume 3, "Selecting Memory Types for Pentium III and More Recent Processor Families".
    """
    return _EFFECTIVE[of_range][_COLUMNS.index(of_page)] if of_page in _COLUMNS else of_page
