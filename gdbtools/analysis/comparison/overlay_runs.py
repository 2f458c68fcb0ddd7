"""Two lists of runs cut wherever either has an end, so that each piece is of one run on each side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, cast

from gdbtools.addresses import Input, moved
from gdbtools.arch.model import Hole, Run


class Piece(NamedTuple):
    """What `first` to `end` (not included) belongs to, on either side; None where nothing is mapped."""

    first: Input
    end: int
    before: Run | Hole | None
    after: Run | Hole | None


def pieces(before: Sequence[Run | Hole], after: Sequence[Run | Hole]) -> Iterator[Piece]:
    """Yield the pieces of two lists that are in order of address; what neither has is left out.

    Where only one side has anything, whole leaves are apart from parts of leaves: the rest of such a leaf is on both.
    Where all leaves of one side lead to one place, the one that the other side leads there, too, is apart.
    """
    yield from _by_meeting(_by_leaf(_by_end(before, after)))


def part(run: Run, first: Input, end: int) -> Run:
    """Return the part of a run from `first` to `end` (not included), which need not be whole leaves."""
    led = run.offset_of(first)
    return run._replace(
        first=first,
        size_bytes=end - first,
        output=None if run.output is None else moved(run.output, led),
        ipa=None if run.ipa is None else moved(run.ipa, led),
    )


def _by_end(before: Sequence[Run | Hole], after: Sequence[Run | Hole]) -> Iterator[Piece]:
    one, other, at = 0, 0, 0
    while one < len(before) or other < len(after):
        left = before[one] if one < len(before) else None
        right = after[other] if other < len(after) else None
        if left is not None and right is not None and at <= left.first and _coincide(left, right):
            # As nearly all of them do.
            at = left.first + left.size_bytes
            yield Piece(left.first, at, left, right)
            one, other = one + 1, other + 1
            continue
        there = [each for each in (left, right) if each is not None]
        start = max(at, min(each.first for each in there))
        ends = (each.first if each.first > start else each.first + each.size_bytes for each in there)
        at = min(ends)
        yield Piece(cast(Input, start), at, _from(left, start), _from(right, start))
        one += left is not None and left.first + left.size_bytes <= at
        other += right is not None and right.first + right.size_bytes <= at


def _coincide(left: Run | Hole, right: Run | Hole) -> bool:
    return left.first == right.first and left.size_bytes == right.size_bytes


def _from(item: Run | Hole | None, start: int) -> Run | Hole | None:
    return item if item is not None and item.first <= start else None


def _by_leaf(found: Iterable[Piece]) -> Iterator[Piece]:
    for piece in found:
        only = piece.after if piece.before is None else piece.before if piece.after is None else None
        if not isinstance(only, Run):
            yield piece
            continue
        leaf = only.leaf_bytes
        head = min(piece.end, -(-piece.first // leaf) * leaf)
        tail = max(head, piece.end // leaf * leaf)
        for first, end in ((int(piece.first), head), (head, tail), (tail, piece.end)):
            if first < end:
                yield piece._replace(first=cast(Input, first), end=end)


def _by_meeting(found: Iterable[Piece]) -> Iterator[Piece]:
    for piece in found:
        at = _meeting(piece)
        if at is None:
            yield piece
            continue
        assert isinstance(piece.before, Run), "both are runs, of leaves of one size"
        behind = at + piece.before.leaf_bytes
        for first, end in ((int(piece.first), at), (at, behind), (behind, piece.end)):
            if first < end:
                yield piece._replace(first=cast(Input, first), end=end)


def _meeting(piece: Piece) -> int | None:
    """Return the leaf that both sides lead to one place, if one of them leads all of its leaves there."""
    before, after = piece.before, piece.after
    if not isinstance(before, Run) or not isinstance(after, Run) or before.leaf_bytes != after.leaf_bytes:
        return None
    if bool(before.stride_bytes) is bool(after.stride_bytes) or before.output is None or after.output is None:
        return None
    still, going = (after, before) if before.stride_bytes else (before, after)
    at = int(going.first) + int(still.output or 0) - int(going.output or 0)
    return at if piece.first <= at < piece.end else None
