"""All that a translation regime maps, as maximal runs: one stage scanned, or two put together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import cast

from gdbtools.addresses import IPA, PA, Input, Output, moved
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import Expect, Fault, FaultKind, Hole, LeafKind, Read, ReadRegister, Regime, Run, expecting
from gdbtools.arch.scan import Scanner, scan
from gdbtools.arch.walk import walk

A_FEW, TIMES = 1 << 12, 4
"""How many runs tables may give: a few, and so many times what they have descriptors.  Real ones share far less."""
TOGETHER = 1 << 18
"""How many pieces two stages may make at least: each block of stage 1 may lead to all that stage 2 maps, so that what
bounds one stage, its descriptors, does not bound both.  This bounds memory, to some 50 MB."""
KEPT_RUNS = 1 << 12
"""What stage 2 makes of a block is kept for the next that leads there, if it is so few runs."""
DESCRIPTOR_BYTES = 8


def mappings(
    architecture: Architecture, register: ReadRegister, read: Read, name: str | None = None
) -> Iterator[Run | Hole]:
    """Yield every mapping of the regime of that name (None: the one in force), in order of address.

    Raises `Unavailable` for a missing register; a table that cannot be read is a `Hole` among the runs.
    """
    for regime in architecture.regimes(register, name):
        yield from mappings_of(regime, read)


def mappings_of(regime: Regime, read: Read, wanted: tuple[int, int] | None = None) -> Iterator[Run | Hole]:
    """Yield every mapping of one range, through the stage below where there is one.

    `wanted` (first, size in bytes) leaves out what holds none of it.  Tables that lead to themselves or are shared
    beyond all reason would go on for ever: what comes after too many of their runs is one `Hole`, and so is what comes
    after more than memory should hold of two stages put together.
    """
    first, last = regime.first, regime.last
    if wanted is not None:
        first = max(first, cast(Input, wanted[0]))
        last = min(last, cast(Input, wanted[0] + wanted[1] - 1))
    if first > last:
        return
    counted = CountedRead(read, expecting(read))
    if regime.below is None:
        yield from _bounded(scan(regime, counted, first, last), regime.root, counted, last)
    else:
        yield from _joined(_Composition(regime, regime.below, counted).runs(first, last))


def _bounded(found: Iterator[Run | Hole], root: Output, counted: CountedRead, last: Input) -> Iterator[Run | Hole]:
    """End where there are too many for the tables that were read: a descriptor that is met once gives one run."""
    enough = A_FEW
    for number, each in enumerate(found):
        if number > enough:
            enough = counted.enough
        if number > enough:
            yield _too_many(f"{number} runs", counted, root, each.first, last)
            return
        yield each


def _too_many(what: str, counted: CountedRead, root: Output, first: Input, last: Input) -> Hole:
    why = f"{what} of {counted.descriptors} descriptors, which are met over and over: ask for a range"
    return Hole(first, last - first + 1, root, why)


@dataclass
class CountedRead:
    """Physical memory, with the tables that were read of it; a descriptor alone is of one that is known already."""

    under: Read
    expect: Expect | None = None
    tables: set[tuple[int, int]] = field(default_factory=set)

    def __call__(self, pa: PA, size_bytes: int) -> bytes:
        if size_bytes > DESCRIPTOR_BYTES:
            self.tables.add((pa, size_bytes))
        return self.under(pa, size_bytes)

    @property
    def descriptors(self) -> int:
        return sum(size_bytes for _, size_bytes in self.tables) // DESCRIPTOR_BYTES

    @property
    def enough(self) -> int:
        """How many runs may come of one stage's tables, as far as they were read."""
        return A_FEW + TIMES * self.descriptors


class _Composition:
    """Stage 1 runs put through stage 2 runs: function composition, interval by interval."""

    def __init__(self, regime: Regime, below: Regime, read: CountedRead) -> None:
        self.regime = regime
        self.below = below
        self.read = read
        self.second = Scanner(below, read)
        self._kinds: dict[tuple[int, int], LeafKind] = {}
        self._kept: list[LeafKind] = []
        self._known: dict[tuple[object, ...], Sequence[Run | Hole]] = {}
        self._made = 0
        """How many pieces there were, joined or not: those that join to few runs take their time all the same."""

    def runs(self, first: Input, last: Input) -> Iterator[Run | Hole]:
        enough = TOGETHER
        for each in self._composed(first, last):
            if self._made > enough:
                enough = max(TOGETHER, self.read.enough)
            if self._made > enough:
                yield _too_many(f"{self._made} pieces", self.read, self.regime.root, each.first, last)
                return
            yield each

    def _composed(self, first: Input, last: Input) -> Iterator[Run | Hole]:
        for each in _bounded(scan(self.regime, self.read, first, last), self.regime.root, self.read, last):
            if isinstance(each, Hole):
                yield each
            elif each.stride_bytes or each.leaf_bytes == each.size_bytes:
                yield from self._through(each)
            else:
                yield from self._repeated(each)

    def _repeated(self, run: Run) -> Iterator[Run | Hole]:
        """Put many addresses that lead to one place through stage 2: one leaf, said of all if that is one run."""
        one = run._replace(size_bytes=run.leaf_bytes, stride_bytes=run.leaf_bytes)
        parts = list(islice(self._through(one), 2))
        if len(parts) == 1 and isinstance(parts[0], Run):
            part = parts[0]
            # What stage 2 repeats within the leaf has smaller leaves of its own.
            leaf = run.leaf_bytes if part.stride_bytes else part.leaf_bytes
            yield part._replace(size_bytes=run.size_bytes, leaf_bytes=leaf, stride_bytes=0)
            return
        for first in range(run.first, run.first + run.size_bytes, run.leaf_bytes):
            yield from self._through(one._replace(first=cast(Input, first)))

    def _through(self, run: Run) -> Iterator[Run | Hole]:
        """Put a run through stage 2, or, where another run led before, say again what was said of that."""
        key = (run.output, run.size_bytes, run.leaf_bytes, run.stride_bytes, id(run.kind))
        if key in self._known:
            self._made += len(self._known[key])
            yield from (_moved(each, run) for each in self._known[key])
            return
        kept: list[Run | Hole] = []
        for each in _joined(_bounded(self._afresh(run), self.below.root, self.read, run.last)):
            yield each
            if len(kept) <= KEPT_RUNS:
                kept.append(each._replace(first=moved(each.first, -run.first)))
        if len(kept) <= KEPT_RUNS:
            self._known[key] = kept

    def _afresh(self, run: Run) -> Iterator[Run | Hole]:
        for piece in self._cut(run):
            self._made += 1
            yield piece

    def _cut(self, run: Run) -> Iterator[Run | Hole]:
        """Yield what stage 2 makes of a run, piece by piece, in order."""
        assert run.output is not None, "stage 1 gives an address"
        at = IPA(run.output)
        end = moved(at, run.size_bytes)
        for below in self.second.within(at, moved(end, -1)):
            yield from self._unmapped(run, at, min(end, below.first))
            at = IPA(max(at, below.first))
            until = IPA(min(end, below.first + below.size_bytes))
            if isinstance(below, Hole):
                yield Hole(moved(run.first, at - run.output), until - at, below.pa, below.why, below.refusal)
            else:
                yield from self._pieces(run, below, at, until)
            at = until
        yield from self._unmapped(run, at, end)

    def _pieces(self, run: Run, below: Run, ipa: IPA, end: int) -> Iterator[Run]:
        """Yield the part of a run that one stage 2 run holds: in one piece, or by each of its leaves if they repeat."""
        assert run.output is not None
        assert below.output is not None, "stage 2 is the last"
        leaf = min(run.leaf_bytes, below.leaf_bytes)
        while ipa < end:
            first = moved(run.first, ipa - run.output)
            kind = self._kind(run, below, first)
            until = end
            if not below.stride_bytes and below.leaf_bytes < run.leaf_bytes:
                # Within one leaf of stage 1, whose pages all lead to the same place.
                until = min(end, first - first % run.leaf_bytes + run.leaf_bytes - first + ipa)
            elif not below.stride_bytes:
                until = min(end, ipa + below.leaf_bytes - (ipa - below.first) % below.leaf_bytes)
            repeats = not below.stride_bytes and below.leaf_bytes < run.leaf_bytes and until - ipa > leaf
            output = moved(below.output, below.offset_of(ipa))
            yield Run(first, until - ipa, output, leaf, 0 if repeats else leaf, kind, run.descriptor_pa, ipa)
            ipa = IPA(until)

    def _unmapped(self, run: Run, ipa: IPA, end: int) -> Iterator[Run]:
        """Yield what stage 2 has nothing for, cut where its walks end at different levels."""
        assert run.output is not None
        while ipa < end:
            first = moved(run.first, ipa - run.output)
            via = walk(self.below, ipa, self.read)
            covered = via.steps[-1].level.size_bytes if via.steps else end - ipa
            until = min(end, ipa - ipa % covered + covered) if via.steps else end
            fault = run.fault or (via.refusal.fault if via.refusal else Fault(FaultKind.TRANSLATION, 2))
            kind = self._same(LeafKind(run.kind.level, run.attributes, fault))
            leaf = min(run.leaf_bytes, until - ipa)
            yield Run(first, until - ipa, None, leaf, leaf, kind, run.descriptor_pa, ipa)
            ipa = IPA(until)

    def _kind(self, run: Run, below: Run, first: Input) -> LeafKind:
        key = id(run.kind), id(below.kind)
        if key not in self._kinds:
            found = walk(self.regime, first, self.read)
            attributes = (found.kept or found).attributes
            assert attributes is not None, "the run has a leaf"
            soft = run.kind.soft_invalid or (run.fault is None and below.kind.soft_invalid)
            kind = LeafKind(run.kind.level, attributes, run.fault or below.fault, soft)
            self._kinds[key] = self._same(kind)
        return self._kinds[key]

    def _same(self, kind: LeafKind) -> LeafKind:
        for known in self._kept:
            if known == kind:
                return known
        self._kept.append(kind)
        return kind


def _moved(piece: Run | Hole, run: Run) -> Run | Hole:
    """Return what is kept of a run, with addresses from its own first one on, as part of another."""
    if isinstance(piece, Hole):
        return piece._replace(first=moved(run.first, piece.first))
    return piece._replace(first=moved(run.first, piece.first), descriptor_pa=run.descriptor_pa)


def _joined(runs: Iterator[Run | Hole]) -> Iterator[Run | Hole]:
    """Join neighbours that two stages cut apart although they are of one kind and follow one another."""
    held: Run | None = None
    for run in runs:
        if held is not None and isinstance(run, Run) and _follows(held, run):
            held = held._replace(size_bytes=held.size_bytes + run.size_bytes)
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
