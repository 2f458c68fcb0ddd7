"""Rules of several roots: CPUs agree in the kernel's half, and no two address spaces or guests share what is theirs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from gdbtools import systems
from gdbtools.addresses import PA, Input
from gdbtools.analysis.audit.findings import AuditedRange, Checked, Finding, RootedRun
from gdbtools.analysis.audit.joined import same_places
from gdbtools.analysis.audit.rules import CPU_DIFFERENCE, GUEST_ISOLATION, SHARED_TABLE
from gdbtools.analysis.audit.surveyed import UPPER, AuditedTable, Surveyed, is_in_force
from gdbtools.analysis.comparison.compared_attributes import USE
from gdbtools.analysis.comparison.difference import MappingChange, difference
from gdbtools.analysis.mappings import mappings_of
from gdbtools.analysis.physical_segments import Segments, shared
from gdbtools.units import PAGE_BYTES
from gdbtools.wording import number_of, size


def cpu_difference(found: Surveyed) -> Checked:
    """Compare the kernel's half of each root with that of the first: what is one root is the same for all."""
    kernels: dict[tuple[int, int], list[AuditedRange]] = {}
    for each in found.ranges:
        if each.regime.last >= UPPER and each.cpus and not each.reduced and not each.is_second:
            kernels.setdefault((each.regime.first, each.regime.last), []).append(each)
    cpus = sorted({cpu for each in kernels.values() for one in each for cpu in one.cpus})
    if len(cpus) < 2:
        return Checked(CPU_DIFFERENCE, len(cpus), (), unasked="there are no two CPUs with a kernel's half")
    findings: list[Finding] = []
    for first, *others in kernels.values():
        for other in others:
            findings += _differences(found, first, other)
    return Checked(CPU_DIFFERENCE, len(cpus), tuple(findings))


def _differences(found: Surveyed, one: AuditedRange, other: AuditedRange) -> Iterator[Finding]:
    mine, theirs = (
        [each for each in mappings_of(range_.regime, found.read, (UPPER, UPPER)) if each.first >= UPPER]
        for range_ in (one, other)
    )
    for change in difference(mine, theirs, USE)[0]:
        yield _difference(found, one, other, change)


def _difference(found: Surveyed, one: AuditedRange, other: AuditedRange, change: MappingChange) -> Finding:
    sides = [(one, change.before), (other, change.after)]
    where, portions = next(side for side in sides if any(each.run is not None for each in side[1]))
    run = next(each.run for each in portions if each.run is not None)
    both = f"CPU {one.cpus[0]} and CPU {other.cpus[0]}"
    said = f"{size(change.size_bytes)} of the kernel's half are not the same on {both}"
    evidence = []
    for range_, side in sides:
        there = next((each.run for each in side if each.run is not None), None)
        text = "not mapped" if there is None else f"to PA {there.output or 0:#x}, {there.attributes.memory}"
        evidence.append(f"CPU {range_.cpus[0]}, {range_.regime.root_register} {range_.regime.root:#x}: {text}")
    rooted = RootedRun(run, where)
    return found.evidence.finding(CPU_DIFFERENCE, said, rooted, change.first, change.size_bytes, tuple(evidence))


@dataclass(frozen=True)
class _Owner:
    """What a table belongs to: a root, and which half of its addresses."""

    root: int
    upper: bool
    second: bool

    def may_share(self, other: _Owner) -> bool:
        """Return whether both may have one table: a kernel's half is everybody's, and who has it twice, has a twin."""
        return self == other or (self.upper and other.upper) or self.second is not other.second


def shared_table(found: Surveyed) -> Checked:
    """A root of its own is no finding, and of tables that are shared together only the highest is one."""
    owners: dict[int, dict[_Owner, AuditedTable]] = {}
    for each in found.tables:
        regime = each.range.regime
        if each.page.address != regime.root and each.page.parts:
            owner = _Owner(regime.root, each.page.first >= UPPER, each.range.is_second)
            owners.setdefault(each.page.parts[0][0], {}).setdefault(owner, each)
    findings: list[Finding] = []
    below: set[tuple[int, int]] = set()
    for at, by in owners.items():
        pair = next((pair for pair in combinations(by, 2) if not _may_share(found, *pair)), None)
        if pair is None:
            continue
        below |= {(each.range.regime.root, to) for each in by.values() for _, to in each.page.leads_to}
        one, other = by[pair[0]], by[pair[1]]
        if (one.range.regime.root, one.page.address) not in below:
            findings.append(_table_shared(at, one, other))
    return Checked(SHARED_TABLE, len(owners), tuple(findings))


def _may_share(found: Surveyed, one: _Owner, other: _Owner) -> bool:
    """Return whether two may have a table in common; the two roots of one process may."""
    return one.may_share(other) or _is_twin(found, one.root, other.root) or _is_twin(found, other.root, one.root)


def _is_twin(found: Surveyed, full: int, reduced: int) -> bool:
    top = next(each.page for each in found.tables if each.range.regime.root == full)
    size_bytes = sum(size_bytes for _, size_bytes in top.parts)
    return systems.reduced_root(found.architecture, PA(full), size_bytes) == reduced


def _table_shared(pa: int, one: AuditedTable, other: AuditedTable) -> Finding:
    page = one.page
    said = f"the level {page.level.number} table at PA {pa:#x} is reached from two places that ought not to share it"
    evidence = tuple(
        f"from root {each.range.regime.root:#x} ({each.range.regime.root_register}) for "
        f"{each.range.regime.input_label} {each.page.first:#x}"
        for each in (one, other)
    )
    covered = page.level.entries * page.level.size_bytes
    first: Input = page.first
    return Finding(SHARED_TABLE, said, one.range, first, covered, None, PA(pa), evidence)


def guest_isolation(found: Surveyed) -> Checked:
    """A hypervisor sets the valid bit of what is soft-invalid again: that is the guest's as much as the rest."""
    guests: dict[int, list[RootedRun]] = {}
    for each in found.second:
        if is_in_force(each.run) or each.run.kind.soft_invalid:
            guests.setdefault(each.regime.root, []).append(each)
    if not guests:
        return Checked(GUEST_ISOLATION, 0, (), unasked="no second stage is known here")
    findings: list[Finding] = []
    devices = 0
    for one, other in combinations(guests, 2):
        for first, size_bytes, mine, theirs in same_places(shared(guests[one], guests[other])):
            parts = [*_memory_within(found, first, size_bytes, mine, theirs)]
            findings += (_shared_memory(found, *part, mine, theirs) for part in parts)
            devices += size_bytes - sum(part_bytes for _, part_bytes in parts)
    for runs in guests.values():
        findings += _tables_reached(found, runs)
    explained = (f"{size(devices)} that two guests have are a device's",) if devices else ()
    return Checked(GUEST_ISOLATION, sum(each.run.leaves for runs in guests.values() for each in runs), tuple(findings),
                   explained)  # fmt: skip


def _memory_within(
    found: Surveyed, first: int, size_bytes: int, mine: RootedRun, theirs: RootedRun
) -> Iterator[tuple[int, int]]:
    """Yield what of a place is memory: where the source says there is, else all that is not a device's for both.

    A hypervisor may map a device with the type of memory, and memory with that of a device.
    """
    if found.memory is None:
        if not (mine.run.attributes.device and theirs.run.attributes.device):
            yield first, size_bytes
        return
    for start, stop in found.memory:
        low, high = max(first, start), min(first + size_bytes, stop)
        if low < high:
            yield low, high - low


def _shared_memory(found: Surveyed, pa: int, size_bytes: int, mine: RootedRun, theirs: RootedRun) -> Finding:
    said = f"{mine.range.whose} and {theirs.range.whose} have the same {size(size_bytes)} of memory at PA {pa:#x}"
    also = f"of {theirs.range.whose}: {found.evidence.also(theirs, theirs.address_of(pa))}"
    return found.evidence.finding(GUEST_ISOLATION, said, mine, mine.address_of(pa), size_bytes, (also,))


@dataclass(frozen=True)
class _TablePlace:
    """A part of a second stage's table, as physical memory."""

    reach: tuple[int, int]
    level: int


def _tables_reached(found: Surveyed, runs: Sequence[RootedRun]) -> Iterator[Finding]:
    tables = [
        _TablePlace((pa, pa + size_bytes), each.page.level.number)
        for each in found.tables
        if each.range.is_second
        for pa, size_bytes in each.page.parts
    ]
    reached: dict[int, list[tuple[int, int]]] = {}
    for first, _, mine, theirs in Segments(runs).common(Segments(tables)):
        reached.setdefault(mine, []).append((first, tables[theirs].level))
    for number, places in reached.items():
        pa, level = places[0]
        more = f", and {number_of(len(places) - 1, 'further one')}" if len(places) > 1 else ""
        said = f"{runs[number].range.whose} reaches the level {level} table of a second stage at PA {pa:#x}{more}"
        where = runs[number]
        size_bytes = places[-1][0] - pa + PAGE_BYTES
        yield found.evidence.finding(GUEST_ISOLATION, said, where, where.address_of(pa), size_bytes)
