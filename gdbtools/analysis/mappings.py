"""All that a translation regime maps, as maximal runs: one stage scanned, or two put together."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace

from gdbtools.arch.architecture import Architecture
from gdbtools.arch.model import Fault, FaultKind, Hole, LeafKind, Read, ReadRegister, Regime, Run
from gdbtools.arch.scan import scan
from gdbtools.arch.walk import walk


def mappings(
    architecture: Architecture, register: ReadRegister, read: Read, name: str | None = None
) -> Iterator[Run | Hole]:
    """Give every mapping of the regime of that name (None: the one in force), in order of address.

    Raises `Unavailable` for a missing register; a table that cannot be read is a `Hole` among the runs.
    """
    for regime in architecture.regimes(register, name):
        yield from mappings_of(regime, read)


def mappings_of(regime: Regime, read: Read) -> Iterator[Run | Hole]:
    """Give every mapping of one range, through the stage below where there is one."""
    if regime.below is None:
        yield from scan(regime, read)
    else:
        yield from _joined(_Composition(regime, regime.below, read).runs())


def covering(runs: Sequence[Run], address: int) -> Run | None:
    """Give the run that holds an address; `runs` are in order."""
    at = bisect_right(runs, address, key=lambda run: run.first)
    return runs[at - 1] if at and address <= runs[at - 1].last else None


class _Composition:
    """Stage 1 runs put through stage 2 runs: function composition, interval by interval."""

    def __init__(self, regime: Regime, below: Regime, read: Read) -> None:
        self.regime = regime
        self.read = read
        self.second: list[Run | Hole] = list(scan(below, read))
        self.starts = [each.first for each in self.second]
        self._kinds: dict[tuple[int, int], LeafKind] = {}
        self._kept: list[LeafKind] = []

    def runs(self) -> Iterator[Run | Hole]:
        for each in scan(self.regime, self.read):
            if isinstance(each, Hole):
                yield each
            elif each.stride_bytes or each.leaf_bytes == each.size_bytes:
                yield from self._through(each)
            else:
                # Many addresses that lead to one place: put one leaf through, and say it of them all if it is whole.
                one = replace(each, size_bytes=each.leaf_bytes, stride_bytes=each.leaf_bytes)
                parts = list(self._through(one))
                if len(parts) == 1 and isinstance(parts[0], Run):
                    yield replace(parts[0], size_bytes=each.size_bytes, leaf_bytes=each.leaf_bytes, stride_bytes=0)
                    continue
                for first in range(each.first, each.first + each.size_bytes, each.leaf_bytes):
                    yield from self._through(replace(one, first=first))

    def _through(self, run: Run) -> Iterator[Run | Hole]:
        assert run.output is not None, "stage 1 gives an address"
        at, end = run.output, run.output + run.size_bytes
        position = max(bisect_right(self.starts, at) - 1, 0)
        while at < end:
            first = run.first + at - run.output
            while position < len(self.second) and self.second[position].first + self.second[position].size_bytes <= at:
                position += 1
            below = self.second[position] if position < len(self.second) else None
            if below is None or below.first > at:
                until = end if below is None else min(end, below.first)
                yield self._unmapped(run, first, at, until - at)
            else:
                until = min(end, below.first + below.size_bytes)
                if isinstance(below, Hole):
                    yield Hole(first, until - at, below.pa, below.why)
                else:
                    yield self._piece(run, below, first, at, until - at)
            at = until

    def _piece(self, run: Run, below: Run, first: int, ipa: int, size_bytes: int) -> Run:
        assert below.output is not None, "stage 2 is the last"
        leaf = min(run.leaf_bytes, below.leaf_bytes, size_bytes)
        stride = leaf if below.stride_bytes else 0
        output = below.output + below.offset_of(ipa)
        return Run(first, size_bytes, output, leaf, stride, self._kind(run, below, first), run.descriptor_pa, ipa)

    def _unmapped(self, run: Run, first: int, ipa: int, size_bytes: int) -> Run:
        refused = walk(self.regime, first, self.read).outcome
        fault = run.fault or (refused if isinstance(refused, Fault) else Fault(FaultKind.TRANSLATION, 2))
        kind = LeafKind(run.kind.level, run.attributes, fault)
        leaf = min(run.leaf_bytes, size_bytes)
        return Run(first, size_bytes, None, leaf, leaf, self._same(kind), run.descriptor_pa, ipa)

    def _kind(self, run: Run, below: Run, first: int) -> LeafKind:
        key = id(run.kind), id(below.kind)
        if key not in self._kinds:
            attributes = walk(self.regime, first, self.read).attributes
            assert attributes is not None, "the run has a leaf"
            kind = LeafKind(run.kind.level, attributes, run.fault or below.fault)
            self._kinds[key] = self._same(kind)
        return self._kinds[key]

    def _same(self, kind: LeafKind) -> LeafKind:
        for known in self._kept:
            if known == kind:
                return known
        self._kept.append(kind)
        return kind


def _joined(runs: Iterator[Run | Hole]) -> Iterator[Run | Hole]:
    """Join neighbours that two stages cut apart although they are of one kind and follow one another."""
    held: Run | None = None
    for run in runs:
        if held is not None and isinstance(run, Run) and _follows(held, run):
            held = replace(held, size_bytes=held.size_bytes + run.size_bytes)
            continue
        if held is not None:
            yield held
        held = run if isinstance(run, Run) else None
        if held is None:
            yield run
    if held is not None:
        yield held


def _follows(before: Run, run: Run) -> bool:
    if before.kind is not run.kind or before.leaf_bytes != run.leaf_bytes or run.first != before.last + 1:
        return False
    if not (before.stride_bytes and run.stride_bytes):
        return False
    return all(
        (one is None) == (other is None) and (one is None or one + before.size_bytes == other)
        for one, other in ((before.ipa, run.ipa), (before.output, run.output))
    )
