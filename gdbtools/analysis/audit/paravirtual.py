"""Rules of a paravirtual guest: its hypervisor lets it read its tables, and keeps it from writing them itself.

A guest that could write a table would have any frame of the machine.  So every mapping of one is read-only, in every
address space of the guest, and so is that of every descriptor table and of what is pinned.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gdbtools.addresses import PA, VA, moved
from gdbtools.analysis.audit.evidence import Evidence
from gdbtools.analysis.audit.findings import AuditedRange, Checked, Finding, RootedRun, Rule
from gdbtools.analysis.audit.linear_map import LinearMap, LinearPiece, linear_map
from gdbtools.analysis.audit.rules import FOREIGN_FRAME, UNRECORDED_TABLE, WRITABLE_TABLE
from gdbtools.analysis.audit.spaces import Gathered
from gdbtools.analysis.guest_runs import GuestRun, frames_of, guest_runs
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.isolation import overlaid
from gdbtools.arch.model import Privilege, Read, ReadRegister, Run
from gdbtools.systems.guest_frames import FrameMark, GuestFrames, Protected


@dataclass(frozen=True)
class GuestSurvey:
    """All that a guest's roots map, what it may not write of that, and where its linear map is."""

    guest: GuestFrames
    user: Privilege
    evidence: Evidence
    roots: int
    looked: Gathered
    mapped: Sequence[RootedRun]
    protected: Mapping[int, Protected]

    @property
    def tables(self) -> Mapping[int, int]:
        """The frames that are tables by the walk, with the level that each was met at."""
        return {pa >> self.guest.page_bits: level for pa, level in self.looked.tables.items()}

    def may_write(self, run: Run) -> bool:
        return run.attributes.rights[self.user].write


@dataclass(frozen=True, slots=True)
class ReadOnlyPages:
    """A part of the linear map that ought to be read-only, why, and whether it is writable all the same."""

    first: VA
    size_bytes: int
    why: str
    writable: bool


def survey(architecture: Architecture, register: ReadRegister, read: Read, guest: GuestFrames) -> GuestSurvey:
    """Read every table of a guest, once, whichever roots lead to it."""
    looked, mapped = Gathered(read), list[RootedRun]()
    roots = guest.roots()
    for root in roots:
        leads = guest.root_registers(root)
        for regime in architecture.regimes(overlaid(register, leads)):
            where = AuditedRange(regime, registers=leads)
            mapped += (RootedRun(run, where) for run in looked.runs(regime, guest.ranges))
    return GuestSurvey(guest, architecture.privileges[0], Evidence(read), len(roots), looked, mapped, guest.protected())


def writable_table(found: GuestSurvey) -> Checked:
    tables = found.tables
    wanted = sorted({*found.protected, *tables})
    findings: list[Finding] = []
    examined = 0
    for each in found.mapped:
        run = each.run
        if not found.may_write(run) or run.output is None:
            continue
        examined += run.leaves
        for offset, frame in _among(run, wanted, found.guest.page_bits):
            findings.append(_alias(found, each, moved(VA(run.first), offset), frame, tables.get(frame)))
    return Checked(WRITABLE_TABLE, examined, tuple(findings))


def _among(run: Run, wanted: Sequence[int], page_bits: int) -> Iterator[tuple[int, int]]:
    """Yield those of some frames, in order, that a run leads to: (offset in the run, frame)."""
    assert run.output is not None
    first = run.output >> page_bits
    count = (run.size_bytes if run.stride_bytes else run.leaf_bytes) >> page_bits
    for frame in wanted[bisect_left(wanted, first) : bisect_left(wanted, first + count)]:
        yield frame - first << page_bits, frame


def _alias(found: GuestSurvey, where: RootedRun, at: VA, frame: int, level: int | None) -> Finding:
    known, numbered = found.protected.get(frame), found.guest.of(frame)
    what = known.why if known is not None else f"level {level} table"
    evidence = [] if known is None else [f"the hypervisor has it as {known.why}"]
    evidence += [] if level is None else [f"the guest's tables lead to it as a level {level} table"]
    named = "" if numbered.pseudo is None else f", pseudo-physical {numbered.pseudo:#x}"
    said = f"the guest may write machine frame {frame:#x}{named}: {what}"
    return found.evidence.finding(WRITABLE_TABLE, said, where, at, 1 << found.guest.page_bits, tuple(evidence))


def foreign_frame(found: GuestSurvey) -> Checked:
    findings: list[Finding] = []
    explained = Counter[str]()
    examined = 0
    for where in found.mapped:
        examined += where.run.leaves
        for each in guest_runs([where.run], found.guest):
            mark, count = each.frame.mark, each.run.leaves
            if mark is FrameMark.OWN:
                continue
            if mark.is_explained:
                explained[f"{mark.value}: {each.frame.said}"] += count
                continue
            said = f"machine frame {each.frame.machine:#x} is foreign to the guest: {each.frame.said}"
            use = [f"the hypervisor has it as {each.frame.use}"] if each.frame.use else []
            at, size = VA(each.run.first), each.run.size_bytes
            findings.append(found.evidence.finding(FOREIGN_FRAME, said, where, at, size, tuple(use)))
    words = tuple(f"{count} {why}" for why, count in sorted(explained.items()))
    return Checked(FOREIGN_FRAME, examined, tuple(findings), words)


def unrecorded_table(found: GuestSurvey) -> Checked:
    findings: list[Finding] = []
    size = 1 << found.guest.page_bits
    for frame, level in sorted(found.tables.items()):
        if frame in found.protected:
            continue
        numbered = found.guest.of(frame)
        said = f"the guest's tables lead to machine frame {frame:#x} as a level {level} table, and no record says so"
        has = numbered.use or "nothing special"
        pa = PA(frame << found.guest.page_bits)
        evidence = (f"the hypervisor has it as {has}",)
        findings.append(Finding(UNRECORDED_TABLE, said, None, VA(0), size, None, pa, evidence))
    return Checked(UNRECORDED_TABLE, len(found.tables), tuple(findings))


CHECKS: Final[Mapping[Rule, Callable[[GuestSurvey], Checked]]] = {
    WRITABLE_TABLE: writable_table,
    FOREIGN_FRAME: foreign_frame,
    UNRECORDED_TABLE: unrecorded_table,
}


def linear_map_of(found: GuestSurvey) -> tuple[LinearMap | None, Sequence[ReadOnlyPages]]:
    """Return the guest's linear map, by pseudo-physical numbers, and what of it ought to be read-only."""
    bits = found.guest.page_bits
    pieces = [
        LinearPiece(
            each.run.first,
            each.run.size_bytes,
            (each.frame.pseudo or 0) << bits,
            each.run.attributes.rights[found.user],
        )
        for each in _own_runs(found)
    ]
    known = linear_map(pieces)
    return known, () if known is None else tuple(_joined(_read_only(found, known)))


def _own_runs(found: GuestSurvey) -> Iterator[GuestRun]:
    for where in found.mapped:
        yield from (
            each
            for each in guest_runs([where.run], found.guest)
            if each.frame.mark is FrameMark.OWN and each.frame.pseudo is not None and each.run.stride_bytes
        )


def _read_only(found: GuestSurvey, known: LinearMap) -> Iterator[ReadOnlyPages]:
    page = 1 << found.guest.page_bits
    wanted = {frame: f"level {level} table" for frame, level in found.tables.items()}
    wanted |= {frame: kept.why for frame, kept in found.protected.items()}
    for each in found.mapped:
        run = each.run
        if not known.has(run.first):
            continue
        writable = found.may_write(run)
        for offset, frame in frames_of(run, found.guest.page_bits):
            if frame in wanted:
                yield ReadOnlyPages(moved(VA(run.first), offset), page, wanted[frame], writable)


def _joined(pages: Iterable[ReadOnlyPages]) -> Iterator[ReadOnlyPages]:
    held: ReadOnlyPages | None = None
    for each in sorted(pages, key=lambda page: page.first):
        follows = held is not None and held.first + held.size_bytes == each.first
        if held is not None and follows and (held.why, held.writable) == (each.why, each.writable):
            held = ReadOnlyPages(held.first, held.size_bytes + each.size_bytes, held.why, held.writable)
            continue
        if held is not None:
            yield held
        held = each
    if held is not None:
        yield held
