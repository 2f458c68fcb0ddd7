"""Whether what says it is contiguous is: the entries of such a run have to be alike, aligned, and follow one another.

The hardware may hold the whole run in one TLB entry, made from any member; where they differ it may use either.  Only
the access flag and the dirty state may differ.  Source: DDI 0487, "The Contiguous bit", and Svnapot of RISC-V.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, cast

from gdbtools.addresses import PA, Input
from gdbtools.arch.model import Attributes, Read, Regime, Run, Walk
from gdbtools.arch.walk import walk
from gdbtools.errors import Unreadable


class Breach(enum.Enum):
    """How a contiguous run is broken."""

    NOT_CONTIGUOUS = enum.auto()
    """A member does not have the bit."""
    OUTPUT = enum.auto()
    """A member does not lead to where its place in the run says."""
    ATTRIBUTES = enum.auto()
    """A member has other attributes or permissions."""
    MISALIGNED = enum.auto()
    """The run's output is not aligned to its size."""
    UNREADABLE = enum.auto()

    @property
    def sentence(self) -> str:
        return _SENTENCES[self]


_SENTENCES: Final = {
    Breach.NOT_CONTIGUOUS: "a member does not say it is one",
    Breach.OUTPUT: "a member leads elsewhere",
    Breach.ATTRIBUTES: "a member has other attributes",
    Breach.MISALIGNED: "its output is not aligned to its size",
    Breach.UNREADABLE: "not all of it can be read",
}


@dataclass(frozen=True, slots=True)
class Contiguity:
    """What is to be said of the run that a leaf belongs to: its first input address, its size, and what breaks it.

    `pa` is the descriptor that breaks it; None for a whole one.
    """

    first: Input
    size_bytes: int
    breach: Breach | None = None
    pa: PA | None = None


def broken_ends(regime: Regime, run: Run, read: Read) -> Iterator[tuple[Input, Contiguity]]:
    """Yield what breaks a run of leaves that says it is contiguous, at either end: (an address in it, what breaks it).

    Between its ends it is contiguous, or it would be no run.
    """
    if not run.attributes.contiguous:
        return
    level = next((each for each in regime.levels if each.number == run.kind.level), None)
    group = regime.contiguous_entries(level) * level.size_bytes if level else 1
    aligned = run.ipa if run.ipa is not None else run.output
    if not (run.first % group or run.size_bytes % group or (aligned or 0) % group):
        return
    for address in dict.fromkeys((run.first, cast(Input, run.last & -run.leaf_bytes))):
        checked = contiguity(walk(regime, address, read), read)
        if checked is not None and checked.breach is not None:
            yield address, checked


def contiguity(found: Walk, read: Read) -> Contiguity | None:
    """Check the contiguous run that a walk ended in; None where it ended in none."""
    leaf, attributes = found.leaf, found.attributes
    if leaf is None or attributes is None or not attributes.contiguous:
        return None
    regime = found.regime
    entries = regime.contiguous_entries(leaf.level)
    if entries == 1:
        return None
    size = entries * leaf.level.size_bytes
    whole = Contiguity(cast(Input, found.input & -size), size)
    start = leaf.index & -entries
    if start + entries > leaf.level.entries:
        return whole
    # Of some all members say the same, and their place says the rest.
    step = 0 if leaf.entry.span_bytes else leaf.level.size_bytes
    base = leaf.entry.address - (leaf.index - start) * step
    if base % size:
        return Contiguity(whole.first, size, Breach.MISALIGNED, leaf.pa)
    width = regime.entry_bytes
    first_pa = PA(leaf.pa - (leaf.index - start) * width)
    try:
        raw = read(first_pa, entries * width)
    except Unreadable:
        return Contiguity(whole.first, size, Breach.UNREADABLE, first_pa)
    for number in range(entries):
        pa = PA(first_pa + number * width)
        entry = regime.decode(raw[number * width : (number + 1) * width], leaf.level)
        member = type(leaf)(leaf.level, start + number, pa, entry, leaf.via)
        granted = regime.attributes((*found.steps[:-1], member)) if member.is_leaf else None
        if granted is None or not granted.contiguous:
            return Contiguity(whole.first, size, Breach.NOT_CONTIGUOUS, pa)
        if entry.address != base + number * step:
            return Contiguity(whole.first, size, Breach.OUTPUT, pa)
        own = regime.attributes(found.steps)
        assert own is not None, "the walk ended in a leaf"
        if not alike(granted, own):
            return Contiguity(whole.first, size, Breach.ATTRIBUTES, pa)
    return whole


def alike(one: Attributes, other: Attributes) -> bool:
    """Return whether two members of a run agree in all that has to agree: not the access flag, nor the dirty state.

    Where one is clean and the other dirty they differ in who may write, and so in who may not execute.
    """
    names = ("memory", "shareability", "is_global", "guarded", "non_secure")
    if any(getattr(one, name) != getattr(other, name) for name in names):
        return False
    if one.dirty == other.dirty or one.dirty is None or other.dirty is None:
        if not any(allowed.write for allowed in (*one.rights.values(), *other.rights.values())):
            # Software's bit may have been kept where writes are refused now.
            return one.rights == other.rights
        return one.rights == other.rights and (one.dirty is None) == (other.dirty is None)
    lowest = min(one.rights)
    reads = all(one.rights[el].read == other.rights[el].read for el in one.rights)
    return reads and one.rights[lowest].execute == other.rights[lowest].execute
