"""How the answers of `working-set` look, and what is recorded of them."""

from __future__ import annotations

from collections.abc import Sequence

from gdbtools.analysis.working_set import (
    Sample,
    Touch,
    TouchedRun,
    every_leaf,
    heat,
    hottest,
    regions,
    stretches,
    touched_runs,
)
from gdbtools.arch.model import Privilege
from gdbtools.commands import maintenance
from gdbtools.commands.evidence import field_value
from gdbtools.commands.hottest import HOTTEST
from gdbtools.commands.working_set.run import WorkingSet
from gdbtools.render.document import Block, Document, Facts, Heat, HeatRow, Line, Role, Span, Table, Text
from gdbtools.render.json import JsonObject, hexadecimal
from gdbtools.repair.sampling import Method
from gdbtools.wording import amount, name_of, size

REGIONS = 12
"""How many rows of addresses there are at most."""


ADDRESS_COLUMNS = len(f"{0:#018x}")
"""Rows of addresses and rows of samples begin in one column."""


def view(answer: WorkingSet) -> Document:
    if not answer.samples:
        return Document([Line([Span("Nothing was sampled", Role.WARNING), f": {answer.ended}."])])
    if not every_leaf(answer.samples):
        gone = "Nothing of the range was mapped when the samples ended: what runs has another address space."
        return Document([Line(Span(gone, Role.WARNING)), Facts(_facts(answer))])
    blocks: list[Block] = [Line(_headline(answer)), _map(answer)]
    if len(answer.samples) > 1:
        blocks.append(_timeline(answer))
    runs = hottest(touched_runs(answer.samples), HOTTEST)
    if runs:
        blocks.append(_table(answer, runs))
    blocks += answer.hottest.access_tables("first touches")
    if answer.hottest.names:
        blocks.append(answer.hottest.page_table("samples"))
    return Document([*blocks, Facts(_facts(answer))])


def _headline(answer: WorkingSet) -> list[str | Span]:
    samples = answer.samples
    touched = [sample.touched_bytes for sample in samples]
    resident = max(sample.resident_bytes for sample in samples)
    ever = sum(leaf.size_bytes for leaf in heat(samples))
    if len(samples) == 1:
        said = f"{amount(ever)} of {amount(resident)} resident{_share(ever, resident)}"
        return ["Working set: ", Span(said, Role.GOOD), f", in {samples[0].seconds:.3g} s."]
    mean = sum(touched) // len(touched)
    least, most = amount(min(touched)), amount(max(touched))
    each = f"{least} each" if least == most else f"{least} to {most} each"
    return [
        "Working set: ",
        Span(f"{amount(mean)} of {amount(resident)} resident{_share(mean, resident)}", Role.GOOD),
        f", the mean of {len(samples)} samples of {answer.interval:g} s: {each}, {amount(ever)} in all.",
    ]


def _share(part: int, whole: int) -> str:
    return f" ({100 * part / whole:.3g}%)" if whole else ""


def _map(answer: WorkingSet) -> Heat:
    """Show each region of the range on a line, by the part of the samples in which it was touched."""
    samples = answer.samples
    times, leaves = heat(samples), every_leaf(samples)
    shares = {leaf: count / len(samples) for leaf, count in times.items()}
    rows = []
    for region in regions(leaves, REGIONS):
        ever = sum(leaf.size_bytes for leaf in region.leaves if leaf in times)
        mapped = sum(leaf.size_bytes for leaf in region.leaves)
        after = f"{amount(ever)} of {amount(mapped)}"
        rows.append(HeatRow(f"{region.first:#018x}", tuple(stretches(region.leaves, shares)), after))
    always = "" if len(samples) == 1 else ", always"
    return Heat(rows, min(leaf.size_bytes for leaf in leaves), "untouched", f"all of it{always}")


def _timeline(answer: WorkingSet) -> Heat:
    """Show each sample on a line: all that was ever there, without the gaps."""
    rows = []
    leaves = every_leaf(answer.samples)
    for number, sample in enumerate(answer.samples, 1):
        there = set(sample.leaves)
        shares = {leaf: 1.0 if leaf in sample.touched else 0.0 if leaf in there else None for leaf in leaves}
        label = f"sample {number}, {sample.began:.1f} s".ljust(ADDRESS_COLUMNS)
        after = f"{amount(sample.touched_bytes)} of {amount(sample.resident_bytes)}"
        rows.append(HeatRow(label, tuple(stretches(leaves, shares, gaps=False)), after))
    unit = min(leaf.size_bytes for leaf in leaves)
    return Heat(rows, unit, "untouched", "all, gaps left out")


def _table(answer: WorkingSet, runs: Sequence[TouchedRun]) -> Table:
    """Show what was touched most often, and of that the largest first."""
    told = any(run.touches for run in runs)
    count = len(answer.samples)
    rows: list[Sequence[Text]] = []
    for run in runs:
        row: list[Text] = [f"{run.first:#x}", size(run.size_bytes), size(run.leaf_bytes), f"{run.samples}/{count}"]
        first = run.earliest
        if told and first is not None:
            row += [f"{first.seconds:.3f}", _who(run.touches), answer.symbols.get(first.pc) or f"{first.pc:#x}"]
        elif told:
            row += ["", "nobody that was seen", ""]
        rows.append(row)
    headers = ["hottest", "size", "of", "samples", *(["at s", "by", "first at"] if told else [])]
    return Table(headers, rows, frozenset((1, 2, 3, 4)))


def _who(touches: Sequence[Touch]) -> str:
    """Return each level with what it did, and which CPUs."""
    did: dict[Privilege, set[str]] = {}
    for touch in touches:
        did.setdefault(touch.access.privilege, set()).add(touch.access.kind.label)
    levels = ", ".join(f"{each.label} {' '.join(sorted(kinds))}" for each, kinds in sorted(did.items()))
    return f"{levels}, CPU {','.join(str(cpu) for cpu in sorted({touch.cpu for touch in touches}))}"


def _facts(answer: WorkingSet) -> Sequence[tuple[str, Text]]:
    setting, facts = answer.setting, list[tuple[str, Text]]()
    controls = (
        ", ".join(f"{register}.{field_value(control)}" for register, control in setting.controls) or setting.always
    )
    setter = "hardware" if setting.by_hardware else "software"
    how = "by their faults" if setting.method is Method.FAULTS else "by the flags"
    facts.append(("touches", f"{how}{', as asked' if answer.asked else ''}: {setter} sets them ({controls})"))
    emptier = "QEMU itself"
    if setting.borrowed is not None:
        emptier = f"the guest's own {', '.join(maintenance.loan_text(loan) for loan in setting.borrowed.invalidations)}"
    facts.append(("TLB", f"emptied before each sample by {emptier}"))
    if answer.restored is None:
        facts.append(("flags", "gone with the guest"))
    elif answer.left:
        facts.append(("flags", Span("of what was not touched they are left clear; `mmu undo` sets them", Role.WARNING)))
    else:
        facts.append(("flags", f"as if nobody had cleared them: {answer.restored} set again"))
    if answer.accessed:
        were, them = ("was", "it") if answer.accessed == 1 else ("were", "them")
        said = f"{answer.accessed} {were} clear before, and set for an access, as the guest would have"
        facts.append(("", f"{said}: `mmu undo` clears {them}"))
    if setting.spared:
        said = ", ".join(f"{leaf.first:#x} ({why})" for leaf, why in setting.spared.items())
        facts.append(("left out", f"{said}: without it no fault could be taken"))
    facts += [("hole", Span(f"the table at PA {hole.pa:#x}: {hole.why}", Role.WARNING)) for hole in setting.holes]
    if answer.ended:
        facts.append(("ended", Span(f"{answer.ended}, before the time was up", Role.WARNING)))
    return facts


def record(answer: WorkingSet) -> JsonObject:
    setting = answer.setting
    return {
        "first": hexadecimal(answer.first),
        "size": answer.size_bytes,
        "interval": answer.interval,
        "method": name_of(setting.method),
        "by_hardware": setting.by_hardware,
        "controls": {f"{register}.{each.field.name}": hexadecimal(each.value) for register, each in setting.controls},
        "invalidation": maintenance.invalidation_record(setting.borrowed),
        "samples": [_sample_record(answer, sample) for sample in answer.samples],
        "touched": sum(leaf.size_bytes for leaf in heat(answer.samples)),
        "hottest": answer.hottest.record("count"),
        "spared": {hexadecimal(leaf.first): why for leaf, why in setting.spared.items()},
        "holes": [hexadecimal(hole.pa) for hole in setting.holes],
        "restored": answer.restored,
        "accessed": answer.accessed,
        "left": answer.left,
        "ended": answer.ended or None,
    }


def _sample_record(answer: WorkingSet, sample: Sample) -> JsonObject:
    return {
        "began": round(sample.began, 6),
        "seconds": round(sample.seconds, 6),
        "resident": sample.resident_bytes,
        "touched": sample.touched_bytes,
        "runs": [_run_record(answer, run) for run in touched_runs([sample], apart=True)],
    }


def _run_record(answer: WorkingSet, run: TouchedRun) -> JsonObject:
    touch = run.earliest
    return {
        "first": hexadecimal(run.first),
        "size": run.size_bytes,
        "leaf_size": run.leaf_bytes,
        "by": None
        if touch is None
        else {
            "seconds": round(touch.seconds, 6),
            "access": touch.access.kind.label,
            **touch.access.privilege.record,
            "cpu": touch.cpu,
            "pc": hexadecimal(touch.pc),
            "symbol": answer.symbols.get(touch.pc, ""),
        },
    }
