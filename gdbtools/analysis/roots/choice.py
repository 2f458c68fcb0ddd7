"""Which of the roots that were found to take for the ones in use: at most one for each register."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gdbtools.analysis.roots.evidence import Sign, merged, outputs, overlap
from gdbtools.analysis.roots.reading import FoundRoot
from gdbtools.arch.table_heuristics import Owner

IN_USE = (Sign.HELD, Sign.RUNNING, Sign.STACK)
"""What says that a CPU used a root, and not only that it could be used."""


def choose(found: Sequence[FoundRoot], wanted: Collection[int] = ()) -> tuple[FoundRoot, ...]:
    """Choose from a ranking: what is `wanted`, then the best for each register that is left, as far as it is likely.

    Of many processes none is more likely than the others, unless a CPU was seen in it; and beside a kernel in the upper
    half the lower one is a process's, or nobody's.  A guest's tables go with the second stage that leads to them, and
    with no other; what a register holds is chosen first.  What leads to no memory at all is of no use, whatever holds
    it, unless little but tables is there, as in a capture.  Where nothing is likely, the best is still the best.
    """
    partial = _is_partial(found)
    chosen = {each.place.register: each for each in found if each.place.root in wanted}
    for each in sorted(found, key=lambda one: not _is_held(one)):
        if (
            (each.likely or _uses(each))
            and (each.full is None or _is_held(each))
            and each.place.register not in chosen
            and not (leads_nowhere(each) and not (partial and _is_held(each)))
            and not apart(each, [*chosen.values()])
            and _stands_out(each, found, [*chosen.values()])
        ):
            chosen[each.place.register] = each
    if not chosen and found:
        chosen[found[0].place.register] = found[0]
    return tuple(sorted(chosen.values(), key=found.index))


def _is_held(each: FoundRoot) -> bool:
    return any(one.sign is Sign.HELD for one in each.evidence)


def _is_partial(found: Sequence[FoundRoot]) -> bool:
    """Return whether most of what is mapped is not there: then a root that leads to nothing that is, is one of many."""
    there = [one for each in found for one in each.evidence if one.sign is Sign.IN_MEMORY]
    return sum(one.count for one in there) * 2 < sum(one.total for one in there)


def leads_nowhere(each: FoundRoot) -> bool:
    """Return whether not one leaf leads to memory."""
    return any(one.sign is Sign.IN_MEMORY and not one.count for one in each.evidence)


def apart(each: FoundRoot, chosen: Sequence[FoundRoot]) -> Sequence[FoundRoot]:
    """Return those of the chosen that a root cannot go with: a second stage and tables that it does not lead to."""
    return [
        other
        for other in chosen
        if (each.place.below == other.place.register and not leads_to(other, each))
        or (other.place.below == each.place.register and not leads_to(each, other))
    ]


def leads_to(second: FoundRoot, first: FoundRoot) -> bool:
    """Return whether a second stage leads to the root of a first one."""
    root = first.place.root
    return bool(overlap((root, root + 1), merged(map(outputs, second.tree.runs))))


def _stands_out(each: FoundRoot, found: Sequence[FoundRoot], chosen: Collection[FoundRoot]) -> bool:
    if each.owner is Owner.USER:
        others = [_uses(other) for other in found if other.owner is Owner.USER and other is not each]
        return _uses(each) > max(others, default=0)
    kernel = any(other.place.upper and other.place.regime == each.place.regime for other in chosen)
    maps_code = any(one.sign is Sign.VECTORS for one in each.evidence)
    return each.place.upper or not kernel or maps_code or _uses(each) > 0


def _uses(each: FoundRoot) -> int:
    return sum(one.sign in IN_USE for one in each.evidence)
