"""The only loops over page tables in the project: `walk` for one address, `scan` for all of them."""

from __future__ import annotations

from collections.abc import Iterator

from gdbtools.arch.model import EntryKind, Hole, Level, Read, Regime, Step, Walk
from gdbtools.errors import Unreadable


def walk(regime: Regime, address: int, read: Read) -> Walk:
    """Translate `address` as the hardware does, keeping every descriptor on the way.

    A descriptor that cannot be read raises `Unreadable`: missing evidence is neither mapped nor unmapped.
    """
    steps: list[Step] = []
    refusal = regime.admit(address)
    table = regime.root
    for level in regime.levels if refusal is None else ():
        index = level.index(address)
        pa = table + index * regime.entry_bytes
        step = Step(level, index, pa, regime.decode(_descriptor(read, pa, regime, level), level))
        steps.append(step)
        refusal = regime.accept(step)
        if refusal is not None or step.is_leaf:
            break
        table = step.entry.address
    return Walk(address, regime, tuple(steps), refusal)


def _descriptor(read: Read, pa: int, regime: Regime, level: Level) -> bytes:
    try:
        return read(pa, regime.entry_bytes)
    except Unreadable as missing:
        raise Unreadable(
            pa, regime.entry_bytes, f"{missing.why} (it holds the level {level.number} descriptor)"
        ) from None


def scan(regime: Regime, read: Read) -> Iterator[Walk | Hole]:
    """Give the walk of every block and page of a regime, in order of address.

    A leaf whose access flag is clear is among them (its outcome is a fault); a table that cannot be read is a `Hole`.
    Each table is read once, whole, however many entries lead to it.  Peak memory is one table per page-table page met.
    """
    if not regime.levels:
        yield walk(regime, regime.first, read)
        return
    tables: dict[tuple[int, int], bytes] = {}
    barren: set[tuple[int, int]] = set()

    def table_at(pa: int, level: Level) -> bytes:
        key = pa, level.number
        if key not in tables:
            tables[key] = read(pa, level.entries * regime.entry_bytes)
        return tables[key]

    def descend(table: int, depth: int, base: int, path: tuple[Step, ...]) -> Iterator[Walk | Hole]:
        level = regime.levels[depth]
        size = regime.entry_bytes
        try:
            raw = table_at(table, level)
        except Unreadable as missing:
            yield Hole(base, level.entries * level.size_bytes, missing.pa, missing.why)
            return
        found = False
        for index in range(level.entries):
            descriptor = raw[index * size : (index + 1) * size]
            if not any(descriptor):
                continue
            step = Step(level, index, table + index * size, regime.decode(descriptor, level))
            if step.entry.kind is EntryKind.INVALID:
                continue
            first = base | index * level.size_bytes
            refusal = regime.accept(step)
            if step.is_leaf:
                found = True
                yield Walk(first, regime, (*path, step), refusal)
            elif refusal is None and (step.entry.address, depth + 1) not in barren:
                for each in descend(step.entry.address, depth + 1, first, (*path, step)):
                    found = True
                    yield each
        if not found:
            # Tables that lead to each other make many paths; what holds nothing is looked at once.
            barren.add((table, depth))

    if regime.admit(regime.first) is None:
        yield from descend(regime.root, 0, regime.first, ())


def tables(regime: Regime, read: Read) -> Iterator[int | None]:
    """Read every table of a regime once; give the physical address of each, None for one that cannot be read.

    A table that is met again, at the same level or through itself, is not followed again.
    """
    seen: set[tuple[int, int]] = set()
    pending = [(regime.root, 0)] if regime.levels and regime.admit(regime.first) is None else []
    while pending:
        table, depth = pending.pop()
        if (table, depth) in seen:
            continue
        seen.add((table, depth))
        level, size = regime.levels[depth], regime.entry_bytes
        try:
            raw = read(table, level.entries * size)
        except Unreadable:
            yield None
            continue
        yield table
        for index in range(level.entries):
            entry = regime.decode(raw[index * size : (index + 1) * size], level)
            step = Step(level, index, table + index * size, entry)
            if entry.kind is EntryKind.TABLE and regime.accept(step) is None:
                pending.append((entry.address, depth + 1))
