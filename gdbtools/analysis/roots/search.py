"""Root tables found in physical memory, with no register to go by, and ranked by what speaks for them.

Pages that look like tables (`table_survey`) are joined by what their entries lead to (`table_graph`); what nothing
leads to may be a root (`root_candidates`).  Each of those is then read as the tables of a regime that would have it in
use, by the same walker as any other (`root_reading`), and what it maps is held against the rest of memory
(`root_evidence`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gdbtools.addresses import PA
from gdbtools.analysis.roots.candidates import Candidate, parts, small, unreferenced
from gdbtools.analysis.roots.evidence import Interval, RootEvidence, Sign, Standing, merged
from gdbtools.analysis.roots.holders import Holder, held, holders_of
from gdbtools.analysis.roots.reading import FoundRoot, RootReader
from gdbtools.analysis.roots.relations import paired, related
from gdbtools.analysis.roots.table_graph import Graph, graphs, is_empty
from gdbtools.analysis.roots.table_survey import Survey, survey
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import Read
from gdbtools.arch.table_heuristics import Owner, RootPlace
from gdbtools.systems.structures import Extent
from gdbtools.units import PAGE_BYTES

MAXIMUM_EXAMINED = 1 << 10
DISMISSING = (Sign.ONE_PLACE, Sign.ENDLESS)
SOME = 3
WORTH = 21
"""What less than this speaks for is chance."""


@dataclass(frozen=True)
class Ranking:
    """What was found, best first, and how many candidates there were; `unexamined` of them, the smallest, were left.

    `dismissed` are the largest of those that hold together and yet lead nowhere, or on and on.
    """

    found: tuple[FoundRoot, ...]
    dismissed: tuple[FoundRoot, ...]
    candidates: int
    unexamined: int


@dataclass
class Search:
    """One search of a memory.

    `memory` is where there is any, `data` where it is not all zeros, `cpus` where CPUs stood.  Look first, for as long
    as there is time; then rank what has been seen.
    """

    architecture: Architecture
    read: Read
    memory: Sequence[Extent]
    data: Sequence[Extent]
    cpus: Sequence[Standing] = ()
    surveyed: Survey = field(init=False, default_factory=lambda: Survey(0))

    def look(self) -> Iterator[Survey]:
        """Look at all of memory, bit by bit; returns what has been seen so far."""
        for found in survey(self.architecture.table_heuristics, self.data, self.read):
            self.surveyed = found
            yield found

    def look_through(self) -> None:
        """Look at all of memory."""
        for _ in self.look():
            pass

    def rank(
        self,
        named: Mapping[int, Sign] | None = None,
        sizes: Mapping[int, int] | None = None,
        holders: Sequence[Holder] = (),
    ) -> Ranking:
        """Rank what `look` has seen.

        `named` are roots that something in the source names, `sizes` how many bits of address those resolve, `holders`
        what registers of the source say of roots in this memory.
        """
        memory = merged((first, first + size) for first, size in self.memory)
        known = [each for each in holders if any(first <= each.root < end for first, end in memory)]
        reader = RootReader(self.architecture, self.read, memory, self.surveyed.pointers, self.cpus, named or {}, known)
        made = graphs(self.architecture.table_heuristics, self.surveyed.tables, self.read)
        candidates = [*held(made, known, self.read, self.architecture.table_heuristics)]
        whole = [each for graph in made for each in self._whole(graph, sizes or {})]
        candidates += [each for each in whole if not holders_of(each, known)]
        found = _read(reader, candidates)
        kernel = _kernel(found)
        smaller = [each for each in self._smaller(made, candidates, kernel) if not holders_of(each, known)]
        if kernel is not None:
            found = [each for each in found if each is kernel or not self._is_cut(each.candidate, kernel)]
        found += _read(reader, smaller)
        found = self._concatenated(found, reader)
        dismissed = [each for each in found if any(one.sign in DISMISSING for one in each.evidence)]
        kept = [_like(each, kernel) for each in found if each not in dismissed]
        found = [*_apart(paired(kept, self.architecture))]
        together = self._of_their_level(related(found, self.architecture, self.read))
        listed = {each.place.root for each in together}
        dismissed = [each for each in dismissed if each.place.root not in listed]
        return Ranking(
            _in_order(together),
            tuple(sorted(dismissed, key=lambda each: (-each.tree.tables, each.place.root))[:SOME]),
            len(candidates) + len(smaller),
            sum(max(0, len(each) - MAXIMUM_EXAMINED) for each in (candidates, smaller)),
        )

    def _of_their_level(self, found: Sequence[FoundRoot]) -> Sequence[FoundRoot]:
        """Put kernels below a hypervisor where one is there: a CPU that stands at its level is the hypervisor's."""
        if not any(each.owner is Owner.HYPERVISOR and each.likely for each in found):
            return found
        return [
            replace(each, place=self._lowered(each)) if each.owner in (Owner.KERNEL, Owner.USER) else each
            for each in found
        ]

    def _lowered(self, each: FoundRoot) -> RootPlace:
        place = each.place
        offered = self.architecture.table_heuristics.places(place.root, place.form, place.height, each.owner, None)
        return next(one for one in offered if (one.upper, one.input_bits) == (place.upper, place.input_bits))

    def _whole(self, made: Graph, sizes: Mapping[int, int]) -> Iterator[Candidate]:
        """Yield what nothing leads to, cut to the largest roots that there are."""
        for each in unreferenced(made):
            largest = made.form.covered_bits(each.height) + made.form.root_bits(each.height)
            for part in parts(each, largest, self.read, self.architecture.table_heuristics):
                yield replace(part, input_bits=sizes.get(part.root))

    def _smaller(
        self, made: Sequence[Graph], candidates: Iterable[Candidate], kernel: FoundRoot | None
    ) -> Iterator[Candidate]:
        """Yield the roots that are smaller than that: of the kernel's size where they have its form."""
        appearance = self.architecture.table_heuristics
        known = None
        if kernel is not None:
            known = replace(kernel.candidate, input_bits=kernel.place.input_bits)
            for each in candidates:
                if each.root != kernel.place.root and self._is_cut(each, kernel):
                    for part in parts(each, kernel.place.input_bits, self.read, appearance):
                        yield replace(part, input_bits=kernel.place.input_bits)
        yield from small(made, known, self.data, self.read, appearance)

    def _concatenated(self, found: Sequence[FoundRoot], reader: RootReader) -> list[FoundRoot]:
        """Put roots of virtual machines together that are several tables side by side, some of which may be empty."""
        alone = {
            (each.place.form, each.place.height, each.place.root): each
            for each in found
            if each.owner is Owner.VIRTUAL_MACHINE and each.candidate.size_bytes == each.place.form.table_bytes
        }
        largest: dict[int, Candidate] = {}
        for (form, height, root), first in alone.items():
            for bits in range(1, form.concatenated_bits + 1):
                size, half = form.table_bytes << bits, form.table_bytes << bits - 1
                others = range(root + half, root + size, form.table_bytes)
                there = [at for at in others if (form, height, at) in alone]
                rest = (at for at in others if at not in there)
                if root % size or not all(is_empty(PA(at), form.table_bytes, self.read) for at in rest):
                    break
                if there:
                    contents = self.architecture.table_heuristics.contents(self.read(PA(root), size))
                    largest[root] = replace(first.candidate, size_bytes=size, contents=contents)
        together = _read(reader, [*largest.values()])
        ranges = [range(each.place.root, each.place.root + each.candidate.size_bytes) for each in together]
        left = [each for each in found if not any(each.place.root in one for one in ranges)]
        return [*left, *together]

    @staticmethod
    def _is_cut(each: Candidate, kernel: FoundRoot) -> bool:
        """Return whether there is more of a candidate than one root of the kernel's size."""
        like = kernel.candidate
        alike = each.graph is like.graph and each.height == like.height and each.input_bits is None
        return alike and each.size_bytes > kernel.place.root_bytes


def _read(reader: RootReader, candidates: Sequence[Candidate]) -> list[FoundRoot]:
    """Read candidates, the largest trees first."""
    ordered = sorted(candidates, key=lambda each: (-len(each.tables), -each.contents.valid, each.root))
    found = (reader.found(each) for each in ordered[:MAXIMUM_EXAMINED])
    return [each for each in found if each is not None]


def _kernel(found: Iterable[FoundRoot]) -> FoundRoot | None:
    """Return the best root of a kernel's, whose size its processes' have too."""
    kernels = (each for each in found if each.place.upper and each.is_sure_of_size and each.likely)
    return max(kernels, key=lambda each: each.score, default=None)


def _like(each: FoundRoot, kernel: FoundRoot | None) -> FoundRoot:
    """Add that a root has the kernel's size."""
    if kernel is None or each is kernel or each.owner not in (Owner.KERNEL, Owner.USER):
        return each
    place, of = each.place, kernel.place
    if (place.form, place.height, place.input_bits) != (of.form, of.height, of.input_bits):
        return each
    return replace(each, evidence=(*each.evidence, RootEvidence(Sign.SAME_SIZE, 1, 1, 5)))


def _order(each: FoundRoot) -> tuple[int, int]:
    return -each.score, each.place.root


def _in_order(found: Sequence[FoundRoot]) -> tuple[FoundRoot, ...]:
    """Return the best first, and right behind a full root the reduced one of the same process."""
    full = {each.place.root: each for each in found}
    return tuple(sorted(found, key=lambda each: (*_order(full[each.full or each.place.root]), each.full is not None)))


def _apart(found: Iterable[FoundRoot]) -> Iterator[FoundRoot]:
    """Yield the best, and of the others those that are no part of a better one's tables, nor have one in theirs."""
    tables: set[int] = set()
    roots: list[Interval] = []
    for each in sorted(found, key=_order):
        place = each.place
        if each.score < WORTH or place.root & -PAGE_BYTES in tables:
            continue
        own = {
            page for table in each.candidate.tables for page in range(table, table + place.form.table_bytes, PAGE_BYTES)
        }
        end = place.root + each.candidate.size_bytes
        if any((first < end and place.root < stop) or first & -PAGE_BYTES in own for first, stop in roots):
            continue
        tables |= own
        roots.append((place.root, end))
        yield each
