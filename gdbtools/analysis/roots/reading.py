"""A candidate read as the tables of a regime: where it would be in use, what it then maps, and what that is worth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property

from gdbtools.addresses import PA
from gdbtools.analysis.roots import evidence as signs
from gdbtools.analysis.roots.candidates import Candidate
from gdbtools.analysis.roots.evidence import Interval, RootEvidence, Sign, Standing, Tree
from gdbtools.analysis.roots.holders import Holder, holders_of
from gdbtools.analysis.roots.table_survey import CHUNK_BYTES
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import Privilege, Read, Run
from gdbtools.arch.scan import Scanner
from gdbtools.arch.table_heuristics import Leaves, Owner, RootPlace, TableForm
from gdbtools.errors import Unreadable

MAXIMUM_RUNS = 1 << 16
ALL_RUNS = 1 << 18
"""How many runs are read of one candidate, and of all together: more than guests in use have."""
A_FEW, TIMES = 1 << 12, 4
"""How many runs tables may give: a few, and so many times what they have entries.  Real ones share far less."""
MAXIMUM_KINDS = 1 << 8
"""Leaves of more kinds than that are no leaves."""
CODE_BYTES = 1 << 28
SAMPLE_TABLES = 1 << 8
SOME = 1 / 64
"""How much of what points into the upper half a root has to map to be one of the upper half."""
MANY = 1 << 4
"""From how many on such pointers are no chance."""
LIKELY = 40


@dataclass(frozen=True, eq=False)
class FoundRoot:
    """A root, where it would be in use, and why that is believed.

    A process may have two: `reduced` is the other one's root where this is the full one, `full` where it is the reduced
    one.
    """

    candidate: Candidate
    place: RootPlace
    tree: Tree
    evidence: tuple[RootEvidence, ...]
    reduced: PA | None = None
    full: PA | None = None

    @property
    def is_sure_of_size(self) -> bool:
        """Whether so much points into what it maps that its size is certain."""
        return any(each.sign is Sign.POINTERS and each.count >= MANY for each in self.evidence)

    @property
    def owner(self) -> Owner:
        return self.tree.owner

    @cached_property
    def score(self) -> int:
        return sum(each.weight for each in self.evidence)

    @property
    def likely(self) -> bool:
        """Whether more speaks for it than that it could be one: something that only tables in use show."""
        return self.score >= LIKELY and any(each.sign.tells and each.weight > 0 for each in self.evidence)


@dataclass
class RootReader:
    """Reads candidates, as long as they do not have too much to read.

    `memory` is where there is any, `pointers` are pages that words point into, `named` the roots that something in the
    source names, `cpus` where its CPUs stood.  What `holders` say of a root is settled: its half, its levels, its size.
    """

    architecture: Architecture
    read: Read
    memory: Sequence[Interval]
    pointers: set[int]
    cpus: Sequence[Standing]
    named: Mapping[int, Sign]
    holders: Sequence[Holder] = ()
    runs_left: int = ALL_RUNS

    def found(self, candidate: Candidate) -> FoundRoot | None:
        """Return what a candidate is; None where it maps nothing, or is of no size that there is."""
        # Only stage 2 has roots larger than a table.
        tree = self._tree(candidate, Owner.KERNEL) or self._tree(candidate, Owner.VIRTUAL_MACHINE)
        if tree is None:
            return None
        owner = self.architecture.table_heuristics.owner([self._leaf(run, tree.place.form) for run in tree.runs])
        if owner in (Owner.HYPERVISOR, Owner.VIRTUAL_MACHINE):
            # Of another regime, and so are the rights.
            tree = self._tree(candidate, owner)
        if tree is None:
            return None
        tree = replace(tree, owner=owner)
        place, evidence = self._placed(candidate, tree)
        holders = holders_of(candidate, self.holders)
        if holders and not {each.register for each in holders} & self._registers(candidate):
            return None  # a register has it for tables of a kind that is not looked for here
        if holders and not any(each.is_at(place) for each in holders):
            place, tree = self._as_held(candidate, tree, holders[0]) or (place, tree)
            evidence = [each for each in (signs.of_pointers(tree, place, self.pointers),) if place.upper and each.count]
        evidence += signs.of_shape(tree, self.memory)
        evidence += signs.of_tables(tree, sorted(candidate.tables)[:SAMPLE_TABLES], ())
        evidence += self._vectors(tree)
        if owner is not Owner.VIRTUAL_MACHINE:
            evidence += signs.of_cpus(tree, place, self.cpus, self._levels(place))
        told = {Sign.PROVEN if each.proven else Sign.HELD for each in holders}
        if candidate.root in self.named:
            told.add(self.named[candidate.root])
        evidence += [RootEvidence(each, 1, 1, 40) for each in Sign if each in told]
        if candidate.referenced:
            evidence.append(RootEvidence(Sign.REFERENCED, 1, 1, -10))
        if candidate.amid:
            evidence.append(RootEvidence(Sign.AMID, 1, 1, -10))
        return FoundRoot(candidate, place, tree, tuple(evidence))

    @cached_property
    def _level(self) -> Privilege | None:
        return max((each.level for each in self.cpus if each.level is not None and not each.alone), default=None)

    def _registers(self, candidate: Candidate) -> set[str]:
        """Return the registers that a root of such tables may be in, whoever has it."""
        form, height, offer = candidate.graph.form, candidate.height, self.architecture.table_heuristics.places
        levels = (None, *(each.level for each in self.cpus))
        return {
            place.register
            for owner in Owner
            for level in dict.fromkeys(levels)
            for place in offer(candidate.root, form, height, owner, level)
        }

    def _places(self, candidate: Candidate, owner: Owner) -> list[RootPlace]:
        """Return the places whose size holds every entry that there is."""
        form, last = candidate.graph.form, candidate.contents.last
        appearance = self.architecture.table_heuristics
        return [
            each
            for each in appearance.places(candidate.root, form, candidate.height, owner, self._level)
            if last < 1 << each.input_bits - form.covered_bits(candidate.height)
            and candidate.input_bits in (None, each.input_bits)
        ]

    def _as_held(self, candidate: Candidate, tree: Tree, held: Holder) -> tuple[RootPlace, Tree] | None:
        """Return the place and the tree of a candidate as a register has them, whatever its leaves look like."""
        form, height, offer = candidate.graph.form, candidate.height, self.architecture.table_heuristics.places
        for owner in (tree.owner, *Owner):
            for level in dict.fromkeys((self._level, None, *(each.level for each in self.cpus))):
                offered = offer(candidate.root, form, height, owner, level)
                place = next((each for each in offered if held.is_at(each)), None)
                if place is None:
                    continue
                if place.regime == tree.place.regime:
                    return place, tree
                lower = next((each for each in offered if not each.upper and each.input_bits == place.input_bits), None)
                seen = self._read_as(candidate, owner, lower) if lower is not None else None
                return (place, seen) if seen is not None else None
        return None

    def _tree(self, candidate: Candidate, owner: Owner) -> Tree | None:
        """Read all of a candidate at its usual place, as of the lower half."""
        place = next((each for each in self._places(candidate, owner) if not each.upper), None)
        return self._read_as(candidate, owner, place) if place is not None else None

    def _read_as(self, candidate: Candidate, owner: Owner, place: RootPlace) -> Tree | None:
        regime = self.architecture.table_heuristics.regime(place)
        tables = 1 + len(candidate.tables)
        endless = A_FEW + (TIMES * tables << candidate.graph.form.index_bits)
        limit = min(MAXIMUM_RUNS, self.runs_left, endless)
        runs: list[Run] = []
        kinds: set[int] = set()
        for each in Scanner(regime, self.read).within(regime.first, regime.last):
            if len(runs) == limit:
                break
            if isinstance(each, Run):
                runs.append(each)
                kinds.add(id(each.kind))
            if len(kinds) > MAXIMUM_KINDS:
                return None
        self.runs_left -= len(runs)
        return Tree(place, owner, tables, tuple(runs), len(runs) == endless) if runs else None

    def _leaf(self, run: Run, form: TableForm) -> Leaves:
        (descriptor,) = form.words(self.read(run.descriptor_pa, form.entry_bytes))
        return Leaves(descriptor, run.size_bytes // run.leaf_bytes, run.size_bytes)

    def _placed(self, candidate: Candidate, tree: Tree) -> tuple[RootPlace, list[RootEvidence]]:
        """Return the half and the size that a root is of, and what speaks for that."""
        identity = [*signs.of_identity(tree)]
        upper = [each for each in self._places(candidate, tree.owner) if each.upper]
        if tree.owner is not Owner.KERNEL or not upper:
            return tree.place, [] if tree.owner is Owner.USER else identity
        pointed = [(signs.of_pointers(tree, place, self.pointers), place) for place in upper]
        best, place = max(pointed, key=lambda each: each[0].count)
        if best.count >= MANY and best.count >= SOME * best.total:
            return place, [best]
        # Where addresses lead to themselves, a few pointers above them are of an alias of the same memory.
        same = identity[0].count if identity else 0
        if same * MANY >= tree.leaves:
            return tree.place, identity
        usual = upper[0]
        entries = 1 << usual.input_bits - usual.form.covered_bits(usual.height)
        if best.count or candidate.contents.first * 2 >= entries:
            return usual, [pointed[0][0]] if best.count else []
        return tree.place, []

    def _vectors(self, tree: Tree) -> Iterator[RootEvidence]:
        left = CODE_BYTES
        for interval in tree.executable:
            for first, end in signs.inside(interval, self.memory):
                take = min(end - first, left)
                left -= take
                if self._has_vectors(PA(first), take):
                    yield RootEvidence(Sign.VECTORS, 1, 1, 10)
                    return

    def _has_vectors(self, pa: PA, size_bytes: int) -> bool:
        for at in map(PA, range(pa, pa + size_bytes, CHUNK_BYTES)):
            with suppress(Unreadable):
                if self.architecture.table_heuristics.has_vectors(
                    self.read(at, min(CHUNK_BYTES, pa + size_bytes - at))
                ):
                    return True
        return False

    def _levels(self, place: RootPlace) -> Sequence[Privilege]:
        return self.architecture.privileges_of(self.architecture.table_heuristics.regime(place))
