"""The entries on the way to an address, as Linux prints them on more than one architecture: one of each of its names.

    [0000000000000010] pgd=080000004812a003, p4d=080000004812a003, pud=080000004812b003, pmd=0000000000000000

They end at the first that is empty or a block.  Levels that are folded have a name all the same, with the next one's
value.  Before 5.8 there is no p4d, and pgd is the name of its level.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gdbtools.addresses import VA
from gdbtools.systems.crash import CrashFacts
from gdbtools.wording import number_of

LINES_OF_ENTRIES: Final = {
    "entries": re.compile(r"\[([0-9a-f]{8,16})\] \*?pgd ?= ?([0-9a-f]{16})\b(.*)"),
    "more entries": re.compile(r"^((?:,? ?\*?(?:p4d|pud|pmd|pte) ?= ?[0-9a-f]{16}\b)+)"),
}
_ENTRY: Final = re.compile(r"\b(p4d|pud|pmd|pte) ?= ?([0-9a-f]{16})\b")
_NAMES: Final = ("pgd", "p4d", "pud", "pmd", "pte")


@dataclass(frozen=True)
class PrintedEntries:
    """The entries that were printed on the way to an address, by Linux's names for their levels, root first."""

    address: VA
    named: Mapping[str, int]


def printed_entries(facts: CrashFacts, address: VA | None, tag: int = 0) -> PrintedEntries | None:
    """Return the entries of the fault's own address, or else the first that were printed; None where there are none.

    Lines of two crashes may be mixed.  `tag` has the bits that may be another's in one address of the two.
    """
    all_said = facts.all("entries")
    if not all_said:
        return None
    own = (each for each in all_said if address is not None and not (int(each[0], 16) ^ address) & ~tag)
    said = next(own, all_said[0])
    rest = ", ".join([said[2], *(more for (more,) in facts.all("more entries"))])
    named = {"pgd": int(said[1], 16)}
    for name, value in _ENTRY.findall(rest):
        named.setdefault(name, int(value, 16))
    return PrintedEntries(VA(int(said[0], 16)), named)


def unfolded(named: Mapping[str, int], depth: int) -> list[int]:
    """Return the descriptors of the `depth` levels that there are.

    Raises ValueError where no tables of that depth have those names.
    """
    names = [name for name in _NAMES if name in named]
    with_p4d = "p4d" in names or depth == len(_NAMES)
    expected = _NAMES if with_p4d else tuple(name for name in _NAMES if name != "p4d")
    if names != [*expected[: len(names)]]:
        missing = next(name for name, is_there in zip(expected, names, strict=False) if name != is_there)
        raise ValueError(f"an entry is missing: {missing}")
    first = len(expected) - depth
    folded, real = [named[name] for name in names[:first]], [named[name] for name in names[first:]]
    # The line may end before the first level's own name: what it ends with is that level's value.
    descriptors = real or folded[-1:]
    # Levels that are folded as the kernel starts, and not as it is built, are printed as 0.
    if any(value not in (0, descriptors[0]) for value in folded):
        raise ValueError("the names of one folded level have different values")
    return descriptors


def behind_the_end(left: Sequence[int]) -> list[str]:
    """Return the doubt that entries come to which no walk reads; nothing where there are none."""
    count = number_of(len(left), "entry is", "entries are")
    return [f"{count} printed behind the one that ends the walk"] if left else []
