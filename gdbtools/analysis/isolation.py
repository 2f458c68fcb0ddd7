"""Whether the space in force is a reduced one, and which root the full one has: by evidence from this guest alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gdbtools.addresses import PA, VA, moved
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.isolation import Isolation, Load, Switch, View, overlaid
from gdbtools.arch.model import Fault, Hole, Mapped, Read, ReadRegister, Regime, Run
from gdbtools.arch.scan import scan
from gdbtools.arch.walk import walk
from gdbtools.errors import Unavailable, Unreadable
from gdbtools.systems import hypervisors_of, systems_of
from gdbtools.units import PAGE_BYTES

MORE = 16
"""By how many leaves a full space has more than a reduced one."""
FEW_TABLES = 64
"""How many tables lead to those: what has more is no reduced range, or no tables at all."""


def isolation(
    architecture: Architecture, register: ReadRegister, read: Read, name: str | None = None
) -> Isolation | None:
    """Return what is known of the full space, if the one in force (or of the regime of that name) is a reduced one.

    A reduced range has few leaves, the vectors among them, and their code changes to another root.  That root is
    believed if it maps every leaf of the reduced range to where that does, and more besides: the code that changes to
    it has to go on running.  None where no range is a reduced one, or a register that would tell is not there.
    """
    known = _as_systems_keep_it(architecture, register, read)
    if known is not None:
        return known
    try:
        reduced = _range(architecture, register, name)
    except Unavailable:
        return None
    few = None if reduced is None else _few(reduced, read, architecture.isolation.few)
    if reduced is None or not few:
        return None
    leaves = sum(run.size_bytes // run.leaf_bytes for run in few)
    view = _views(architecture, register, read, name)
    switch: Switch | None = None
    try:
        switch = architecture.isolation.switch(register, view, name)
        if switch is None:
            return None
        candidates: Sequence[Switch] = (switch,)
    except (Unavailable, Unreadable):
        candidates = [one for each in systems_of(architecture) for one in each.full_roots(register, reduced, name)]
    wrong = "the code at its vectors cannot be read, and no table behind it is the full root"
    for each in candidates:
        full = _same_range(architecture, overlaid(register, each.registers), reduced, name)
        try:
            evidence = _proof(reduced, few, leaves, full, each, read)
            entries = _entries(full, each, read)
        except Unreadable as missing:
            wrong = f"{each.said}, to PA {full.root:#x}, whose tables cannot be read: {missing.why}"
            continue
        if evidence:
            return Isolation(reduced, leaves, full, each, (*evidence, *_vectors_said(entries)), entries)
        if switch is not None:
            wrong = f"{each.said}, to PA {full.root:#x}, which does not map this space's leaves where this one does"
    return Isolation(reduced, leaves, None, None, (wrong,), {})


def _as_systems_keep_it(architecture: Architecture, register: ReadRegister, read: Read) -> Isolation | None:
    try:
        found = (each.isolation(register, read) for each in hypervisors_of(architecture.name))
        return next((each for each in found if each is not None), None)
    except (Unavailable, Unreadable):
        return None


def _range(architecture: Architecture, register: ReadRegister, name: str | None) -> Regime | None:
    found = architecture.isolation.range(register, name)
    return None if found is None else architecture.marked(found)


def _same_range(architecture: Architecture, register: ReadRegister, of: Regime, name: str | None) -> Regime:
    """Return the range of other registers that has the addresses of this one: one root may have several ranges."""
    return next(each for each in architecture.regimes(register, name) if each.first <= of.last <= each.last)


def vector_entries(architecture: Architecture, register: ReadRegister, read: Read) -> Mapping[VA, str]:
    """Return where a CPU takes synchronous exceptions, now and in the other space of its process, if there are two.

    From a reduced space that is where its code sets the vectors of the full one; from the full one, every entry of a
    reduced space whose code changes to the root in force.  Between the two, where the root is the full space's and the
    vectors are still the reduced one's, it is both.
    """
    here = architecture.exceptions.vectors(register)
    known = isolation(architecture, register, read)
    return {**here, **(known.entries if known is not None else _ways_in(architecture, register, read, here))}


def _ways_in(
    architecture: Architecture, register: ReadRegister, read: Read, here: Mapping[VA, str]
) -> Mapping[VA, str]:
    """Return the entries of reduced spaces that lead to the space in force: where they are kept is tried, not believed.

    What is there has to be a reduced space, to map nothing elsewhere than the full one does, and to have code that
    changes to this very root.  If the vectors `here` are its own, those that its code sets are returned too.
    """
    try:
        full = _range(architecture, register, None)
    except Unavailable:
        return {}
    found: dict[VA, str] = {}
    view = _views(architecture, register, read, None)
    if full is None:
        return {}
    usual = [one for each in systems_of(architecture) for one in each.reduced_roots(register, full)]
    for registers in usual:
        reduced = _same_range(architecture, overlaid(register, registers), full, None)
        try:
            few = _few(reduced, read, architecture.isolation.few)
            if not few or not _agree(few, reduced, full, read):
                continue
        except Unreadable:
            continue
        for run in few:
            found |= architecture.isolation.ways_in(register, registers, view, VA(run.first), run.size_bytes)
        if here.keys() & found.keys():
            known = isolation(architecture, overlaid(register, registers), read)
            found |= known.entries if known is not None else {}
    return found


def _few(regime: Regime, read: Read, at_most: int) -> list[Run] | None:
    """Return the runs of a range that has next to nothing; None for any other, and for tables that cannot be read."""
    found: list[Run] = []
    leaves = tables = 0

    def sparingly(pa: PA, size_bytes: int) -> bytes:
        nonlocal tables
        tables += 1
        if tables > FEW_TABLES:
            raise Unreadable(pa, size_bytes, "a reduced space has fewer tables")
        return read(pa, size_bytes)

    for each in scan(regime, sparingly):
        if isinstance(each, Hole):
            return None
        leaves += each.size_bytes // each.leaf_bytes
        if leaves > at_most:
            return None
        found.append(each)
    return found


def _agree(few: Sequence[Run], reduced: Regime, full: Regime, read: Read) -> bool:
    """Return whether both spaces map the reduced one's leaves to the same places."""
    leaves = (VA(at) for run in few for at in range(run.first, run.last + 1, run.leaf_bytes))
    return all(_place(full, at, read) == _place(reduced, at, read) for at in leaves)


def _place(regime: Regime, at: VA, read: Read) -> PA | Fault:
    """Return where an address leads, be it by a page or, in the other space, by a block around it."""
    outcome = walk(regime, at, read).outcome
    return outcome.address if isinstance(outcome, Mapped) else outcome


def _views(architecture: Architecture, register: ReadRegister, read: Read, name: str | None) -> View:
    """Return virtual memory with some registers otherwise, each page translated once."""

    def view(values: Mapping[str, int]) -> Load:
        seen = overlaid(register, values)
        pages: dict[VA, PA] = {}

        def load(va: VA, size_bytes: int) -> bytes:
            page = VA(va & -PAGE_BYTES)
            if page not in pages:
                outcome = walk(architecture.regime_for(seen, va, name), page, read).outcome
                if not isinstance(outcome, Mapped):
                    raise Unavailable(f"{va:#x} is not mapped")
                pages[page] = outcome.address
            return read(moved(pages[page], va - page), size_bytes)

        return load

    return view


def _proof(
    reduced: Regime, few: Sequence[Run], leaves: int, full: Regime, switch: Switch, read: Read
) -> tuple[str, ...]:
    """Return what shows that `full` is the full space of `reduced`; nothing where something speaks against it."""
    if not _agree(few, reduced, full, read) or not _has_more(full, leaves, read):
        return ()
    return f"{switch.said}, to PA {full.root:#x}", f"that root maps {_all(leaves)} where this one does, and more"


def _has_more(full: Regime, leaves: int, read: Read) -> bool:
    found = 0
    for each in scan(full, read):
        found += 0 if isinstance(each, Hole) else each.size_bytes // each.leaf_bytes
        if found > leaves + MORE:
            return True
    return False


def _all(leaves: int) -> str:
    return "the only leaf" if leaves == 1 else f"all {leaves} leaves"


def _entries(full: Regime, switch: Switch, read: Read) -> Mapping[VA, str]:
    """Return the full space's vector entries, if the privileged level may execute there."""
    if not switch.entries:
        return {}
    first = walk(full, min(switch.entries), read)
    rights = first.attributes.rights if first.attributes is not None and first.refused is None else {}
    return switch.entries if rights and rights[max(rights)].execute else {}


def _vectors_said(entries: Mapping[VA, str]) -> tuple[str, ...]:
    return (f"its vectors, which that code sets, are at {min(entries):#x}, executable there",) if entries else ()
