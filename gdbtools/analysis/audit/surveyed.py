"""All that the rules of an audit are asked of: every range that a CPU uses or has loaded, read once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from gdbtools.addresses import PA
from gdbtools.analysis.audit.evidence import Evidence
from gdbtools.analysis.audit.findings import AuditedRange, RootedRun
from gdbtools.analysis.audit.linear_map import LinearMap, LinearPiece, linear_bases, linear_map
from gdbtools.analysis.mappings import CountedRead, mappings_of
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import FaultKind, Hole, Privilege, Read, Run
from gdbtools.arch.table_pages import TablePage, table_pages

UPPER = 1 << 63
"""From here on addresses are a kernel's, by the convention of every system with two halves of 64 bits."""


@dataclass(frozen=True)
class AuditedTable:
    """A table, and a range whose root leads to it."""

    range: AuditedRange
    page: TablePage


@dataclass(frozen=True)
class Surveyed:
    """What some ranges map, and their tables.

    `mapped` are the mappings of first stages, through the second one, `second` those of second stages by themselves:
    those that lead somewhere.  `memory` is where memory is, (first, end), None where the source does not say.
    `linear` is the linear map, `linear_bases` where address 0 would be in each of them: each level of privilege has its
    own, some systems have several.
    `kernel_at` are the distances between an address and where it leads at which the kernel has its own code.
    """

    architecture: Architecture
    evidence: Evidence
    ranges: Sequence[AuditedRange]
    mapped: Sequence[RootedRun]
    second: Sequence[RootedRun]
    tables: Sequence[AuditedTable]
    holes: Sequence[Hole]
    memory: Sequence[tuple[int, int]] | None
    kernel_at: Collection[int]
    linear: LinearMap | None
    linear_bases: Collection[int]
    table_count: int

    @property
    def read(self) -> Read:
        return self.evidence.read

    @property
    def leaves(self) -> int:
        return sum(each.run.leaves for each in (*self.mapped, *self.second))

    @property
    def in_force(self) -> Sequence[RootedRun]:
        """The mappings that hardware goes by; a clear access flag is set on the way."""
        return [each for each in self.mapped if is_in_force(each.run)]


def is_in_force(run: Run) -> bool:
    """Return whether hardware would use a run, once the access flag is set."""
    return not run.kind.soft_invalid and (run.fault is None or run.fault.kind is FaultKind.ACCESS_FLAG)


def survey_ranges(
    architecture: Architecture,
    read: Read,
    ranges: Sequence[AuditedRange],
    memory: Sequence[tuple[int, int]] | None,
    kernel_at: Collection[int],
) -> Surveyed:
    """Read every table of some ranges, each once in all that is found."""
    counted = CountedRead(read)
    holes: list[Hole] = []
    found: dict[bool, list[RootedRun]] = {False: [], True: []}
    seen: set[tuple[int, int, int, PA]] = set()
    for each in ranges:
        several = sum(each.regime.first <= other.regime.last and other.regime.first <= each.regime.last
                      for other in ranges) > 1  # fmt: skip
        for run in mappings_of(each.regime, counted):
            if isinstance(run, Hole):
                holes.append(run)
            elif run.output is not None:
                key = run.first, run.size_bytes, run.output, run.descriptor_pa
                if several and not each.is_second and key in seen:
                    continue  # several roots lead to this very entry
                if several and not each.is_second:
                    seen.add(key)
                found[each.is_second].append(RootedRun(run, each))
    tables = [AuditedTable(each, page) for each in ranges for page in table_pages(each.regime, counted)]
    pieces = _pieces(architecture, ranges, found[False])
    return Surveyed(
        architecture=architecture,
        evidence=Evidence(read),
        ranges=ranges,
        mapped=found[False],
        second=found[True],
        tables=tables,
        holes=holes,
        memory=memory,
        kernel_at=kernel_at,
        linear=linear_map([each for ours in pieces.values() for each in ours]),
        linear_bases=frozenset(base for ours in pieces.values() for base in linear_bases(ours)),
        table_count=len(counted.tables),
    )


def _pieces(
    architecture: Architecture, ranges: Sequence[AuditedRange], found: Sequence[RootedRun]
) -> Mapping[Privilege, Sequence[LinearPiece]]:
    """Return what each level's linear map is looked for in: a reduced space has none, and a device is in none."""
    reduced = [each.regime for each in ranges if each.reduced]
    supervisor = architecture.privileges[-1]
    pieces: dict[Privilege, list[LinearPiece]] = {}
    for each in found:
        run = each.run
        if run.output is not None and run.stride_bytes and each.regime not in reduced and not run.attributes.device:
            rights = run.attributes.rights
            own = run.output if run.ipa is None else run.ipa
            piece = LinearPiece(run.first, run.size_bytes, own, rights.get(supervisor) or rights[max(rights)])
            pieces.setdefault(max(rights), []).append(piece)
    return pieces
