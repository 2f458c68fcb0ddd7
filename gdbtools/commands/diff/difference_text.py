"""How a change of mappings is worded: `3 blocks of 2MB became 1536 pages of 4KB: ...`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from gdbtools.analysis.comparison.compared_attributes import Aspect
from gdbtools.analysis.comparison.difference import ChangeKind, MappingChange, Portion
from gdbtools.arch.model import Attributes, Run
from gdbtools.commands.evidence import fault_name, soft_text
from gdbtools.render.document import Role, Span
from gdbtools.wording import number_of, size

SIGNS: Final[Mapping[ChangeKind, Span]] = {
    ChangeKind.MAPPED: Span("+", Role.GOOD),
    ChangeKind.UNMAPPED: Span("-", Role.BAD),
    ChangeKind.SPLIT: Span("~", Role.WARNING),
    ChangeKind.MERGED: Span("~", Role.WARNING),
    ChangeKind.CHANGED: Span("~", Role.WARNING),
}
_YES_NO: Final = {
    Aspect.ACCESS_FLAG: ("accessed", "accessed", "unaccessed"),
    Aspect.GLOBAL: ("is_global", "global", "nG"),
    Aspect.CONTIGUOUS: ("contiguous", "contiguous", "not contiguous"),
    Aspect.GUARDED: ("guarded", "guarded", "not guarded"),
    Aspect.NON_SECURE: ("non_secure", "Non-secure", "Secure"),
}
_DIRTY: Final = {True: "dirty", False: "clean", None: "no dirty state"}


def leaves(size_bytes: int, leaf_bytes: int, page_bytes: int) -> str:
    """Return `3 blocks of 2MB`, `512 pages of 4KB`."""
    return f"{_counted(size_bytes, leaf_bytes, page_bytes)} of {size(leaf_bytes)}"


def _counted(size_bytes: int, leaf_bytes: int, page_bytes: int) -> str:
    return number_of(size_bytes // leaf_bytes, "page" if leaf_bytes <= page_bytes else "block")


def change_text(change: MappingChange, page_bytes: int) -> str:
    """Return in a sentence what happened in a range."""
    before, after = change.before[0], change.after[0]
    if change.kind is ChangeKind.MAPPED:
        return f"{_whole(change, after, page_bytes)}: {described(after)}"
    if change.kind is ChangeKind.UNMAPPED:
        return f"{_whole(change, before, page_bytes)}: {described(before)}"
    if change.kind is ChangeKind.SPLIT:
        parts = [(each, before, each) for each in change.after]
        return f"{_whole(change, before, page_bytes)} became {_parts(parts, page_bytes)}"
    if change.kind is ChangeKind.MERGED:
        parts = [(each, each, after) for each in change.before]
        return f"{_parts(parts, page_bytes)} became {_whole(change, after, page_bytes)}"
    return f"{_whole(change, before, page_bytes)}: {_aspects_text(change.aspects, before, after)}"


def _whole(change: MappingChange, portion: Portion, page_bytes: int) -> str:
    """Return how many leaves of the range a change is about: `4 pages of 4KB`, `30 of 32 pages of 4KB`."""
    leaf, extent = _leaf_bytes(portion), change.last + 1 - change.first
    said = leaves(extent, leaf, page_bytes)
    return said if portion.size_bytes == extent else f"{portion.size_bytes // leaf} of {said}"


def _leaf_bytes(portion: Portion) -> int:
    assert portion.run is not None, "it is mapped"
    return portion.run.leaf_bytes


def _parts(parts: Sequence[tuple[Portion, Portion, Portion]], page_bytes: int) -> str:
    """Return what the smaller leaves are: how many of each size, then each portion that has something of its own.

    `parts` gives each portion, and what it was and is: one of these two is itself.
    """
    by_size: dict[int, int] = {}
    details: list[str] = []
    mapped = [part for part in parts if part[0].run is not None]
    for portion, before, after in mapped:
        leaf = _leaf_bytes(portion)
        by_size[leaf] = by_size.get(leaf, 0) + portion.size_bytes
        if portion.aspects:
            count = _counted(portion.size_bytes, leaf, page_bytes)
            which = f"{count} from {portion.first:#x}: " if len(mapped) > 1 else ""
            details.append(f"{which}{_aspects_text(portion.aspects, before, after)}")
    details += [
        f"{size(part[0].size_bytes)} from {part[0].first:#x} not mapped" for part in parts if part not in mapped
    ]
    said = " and ".join(leaves(total, leaf, page_bytes) for leaf, total in sorted(by_size.items(), reverse=True))
    return f"{said} ({'; '.join(details)})" if details else said


def described(portion: Portion) -> str:
    """Return what a portion is: rights, memory, state, and where it leads."""
    run = portion.run
    assert run is not None, "it is mapped"
    given = run.attributes
    words = [rights_text(given), given.memory]
    words += [given.shareability] if given.unshared else []
    words += [] if given.accessed else ["unaccessed"]
    words += [] if given.dirty is None else [_DIRTY[given.dirty]]
    words += [] if given.is_global else ["nG"]
    words += ["contiguous"] if given.contiguous else []
    words += ["guarded"] if given.guarded else []
    if run.kind.soft_invalid and run.fault is not None:
        words.append(soft_text(run.fault))
    elif run.fault is not None and given.accessed:
        words.append(fault_name(run.fault))
    return f"{', '.join(words)}, at {place(portion)}"


def rights_text(attributes: Attributes) -> str:
    return " ".join(f"{each.label} {allowed}" for each, allowed in sorted(attributes.rights.items(), reverse=True))


def place(portion: Portion) -> str:
    """Return where a portion leads; with two stages, both addresses."""
    run = portion.run
    assert run is not None, "it is mapped"
    output = "no PA" if run.output is None else f"PA {run.output:#x}"
    said = output if run.ipa is None else f"IPA {run.ipa:#x}, {output}"
    return said if portion.places == 1 else f"{said} and {number_of(portion.places - 1, 'more place', 'more places')}"


def _aspects_text(aspects: Iterable[Aspect], before: Portion, after: Portion) -> str:
    was, now = before.run, after.run
    assert was is not None, "it was mapped"
    assert now is not None, "it is mapped"
    wanted = frozenset(aspects)
    said = [text for aspect in Aspect if aspect in wanted for text in _aspect(aspect, was, now)]
    if Aspect.OUTPUT in wanted:
        said.append(f"{place(before)} -> {place(after)}")
    return ", ".join(said)


def _soft(was: Run, now: Run) -> str:
    """Return that leaves became soft-invalid or valid again, or that hardware stops at another level."""
    if not now.kind.soft_invalid:
        return "became valid again"
    assert now.fault is not None, "hardware faults at what is soft-invalid"
    return f"{'now' if was.kind.soft_invalid else 'became'} {soft_text(now.fault)}"


def _aspect(aspect: Aspect, was: Run, now: Run) -> list[str]:
    """Word one aspect; where both lead is said apart."""
    one, other = was.attributes, now.attributes
    if aspect is Aspect.RIGHTS:
        levels = sorted({*one.rights, *other.rights}, reverse=True)
        pairs = ((el, one.rights.get(el, "none"), other.rights.get(el, "none")) for el in levels)
        return [f"{each.label} {old} -> {new}" for each, old, new in pairs if old != new]
    if aspect is Aspect.MEMORY:
        return [f"{one.memory} -> {other.memory}"]
    if aspect is Aspect.SHAREABILITY:
        return [f"{one.shareability} -> {other.shareability}"]
    if aspect is Aspect.DIRTY:
        return [f"{_DIRTY[one.dirty]} -> {_DIRTY[other.dirty]}"]
    if aspect is Aspect.FAULT:
        old, new = (fault_name(run.fault) if run.fault else "no fault" for run in (was, now))
        return [f"{old} -> {new}"]
    if aspect is Aspect.SOFT_INVALID:
        return [_soft(was, now)]
    if aspect is Aspect.SIZE:
        return [f"{size(was.leaf_bytes)} -> {size(now.leaf_bytes)}"]
    if aspect not in _YES_NO:
        return []
    attribute, yes, no = _YES_NO[aspect]
    return [f"{yes if getattr(one, attribute) else no} -> {yes if getattr(other, attribute) else no}"]
