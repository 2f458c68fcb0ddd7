"""Rules of how entries are written: reserved bits, addresses that there are not, contiguous runs, access flags."""

from __future__ import annotations

from itertools import chain, groupby

from gdbtools.addresses import Input, moved
from gdbtools.analysis.audit.evidence import shown_entry
from gdbtools.analysis.audit.findings import AuditedRange, Checked, Finding, RootedRun, Rule
from gdbtools.analysis.audit.joined import joined
from gdbtools.analysis.audit.rules import CONTIGUOUS_RUN, KERNEL_ACCESS_FLAG, OUTPUT_SIZE, RESERVED_BITS
from gdbtools.analysis.audit.surveyed import UPPER, Surveyed
from gdbtools.analysis.contiguity import Contiguity, broken_ends
from gdbtools.arch.flawed_entries import EntryInspector, FlawedEntries
from gdbtools.arch.model import FaultKind, Run
from gdbtools.arch.walk import walk
from gdbtools.wording import number_of, size


def reserved_bits(found: Surveyed) -> Checked:
    return _flaws(found, RESERVED_BITS, False)


def output_size(found: Surveyed) -> Checked:
    return _flaws(found, OUTPUT_SIZE, True)


def _flaws(found: Surveyed, rule: Rule, too_far: bool) -> Checked:
    findings: list[Finding] = []
    seen: set[int] = set()
    for where, tables in groupby(found.tables, lambda table: table.range):
        inspector = EntryInspector(where.regime, found.read)
        for flawed in chain.from_iterable(inspector.flaws(each.page) for each in tables):
            if flawed.leads_too_far is too_far and flawed.step.pa not in seen:
                seen.add(flawed.step.pa)
                findings.append(_flawed(rule, where, flawed))
    return Checked(rule, len({each.page.parts for each in found.tables}), tuple(findings))


def _flawed(rule: Rule, where: AuditedRange, flawed: FlawedEntries) -> Finding:
    step, many = flawed.step, number_of(flawed.many, "entry", "entries")
    field = flawed.deciding.field
    why = f"{field.name} {field.position} is set" if flawed.refusal is None else flawed.refusal.decider.cause.sentence
    said = f"{many} of level {step.level.number}: {why}"
    hardware = "hardware goes by it all the same" if flawed.refusal is None else "hardware maps nothing by it"
    shown = shown_entry(step, (flawed.deciding,))
    return Finding(rule, said, where, flawed.first, flawed.size_bytes, shown, None, (hardware,))


def contiguous_run(found: Surveyed) -> Checked:
    asked = [each for each in (*found.mapped, *found.second) if each.run.attributes.contiguous]
    findings: dict[tuple[int, int], Finding] = {}
    for each in asked:
        for _, broken in broken_ends(each.regime, each.run, found.read):
            assert broken.breach is not None, "that is what was asked for"
            label = each.regime.input_label
            said = f"the contiguous run of {size(broken.size_bytes)} at {label} {broken.first:#x} is broken: "
            at, size_bytes = _breaking(found, each, broken)
            made = found.evidence.finding(CONTIGUOUS_RUN, said + broken.breach.sentence, each, at, size_bytes)
            findings.setdefault((each.regime.root, broken.first), made)
    leaves = sum(each.run.leaves for each in asked)
    return Checked(CONTIGUOUS_RUN, leaves, tuple(findings.values()))


def _breaking(found: Surveyed, where: RootedRun, broken: Contiguity) -> tuple[Input, int]:
    """Return the address of the member that breaks a run, and its size; the whole run where none is told."""
    first = walk(where.regime, broken.first, found.read).steps[-1]
    if broken.pa is None:
        return broken.first, broken.size_bytes
    member = (broken.pa - first.pa) // where.regime.entry_bytes
    size_bytes = first.level.size_bytes
    return moved(broken.first, member * size_bytes), size_bytes


def kernel_access_flag(found: Surveyed) -> Checked:
    asked = [each for each in found.mapped if _is_kernels(each.run)]
    clear = [(each, ()) for each in asked if each.run.fault and each.run.fault.kind is FaultKind.ACCESS_FLAG]
    findings = tuple(
        found.evidence.finding(
            KERNEL_ACCESS_FLAG,
            f"{size(size_bytes)} that only a kernel may access are not marked accessed",
            first,
            first.run.first,
            size_bytes,
            holds=lambda attributes: not attributes.accessed,
        )
        for first, size_bytes, _ in joined(clear)
    )
    return Checked(KERNEL_ACCESS_FLAG, sum(each.run.leaves for each in asked), findings)


def _is_kernels(run: Run) -> bool:
    """Return whether a run is a kernel's: in the upper half, or where no user may do anything."""
    rights = run.attributes.rights
    return run.first >= UPPER or not any(
        level.is_user and (rights[level].read or rights[level].write or rights[level].execute) for level in rights
    )
