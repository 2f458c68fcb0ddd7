"""How the answers of `hardware-af` look, and what is recorded of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gdbtools.commands import maintenance
from gdbtools.commands.hardware_af.run import HardwareAsked
from gdbtools.render.document import Document, Facts, Line, Role, Span, Table, Text, labelled
from gdbtools.render.json import JsonObject, hexadecimal
from gdbtools.repair.hardware_flags import ControlWrite
from gdbtools.wording import number_of

_LEARNS_NOTHING: Final = (
    "no access faults for its flag any more: a guest that learns of accesses by such faults (its working set, the age "
    "of pages, a dirty state that its handler keeps) learns of none"
)
_FAULTS: Final = (
    "the first access to a page whose flag is clear faults: for `mmu service`, or for the guest's own handler, if it "
    "has one"
)


def view(answer: HardwareAsked) -> Document:
    cpus = len({each.cpu for each in answer.plan.controls})
    does = "sets the access flags" if answer.on else "leaves the access flags to software"
    if answer.applied:
        head: list[str | Span] = [Span(f"Hardware {does} now", Role.GOOD), f", on {number_of(cpus, 'CPU')}."]
    else:
        head = [Span("Would write", Role.WARNING), f" what makes that hardware {does}, on {number_of(cpus, 'CPU')}."]
    rows: list[Sequence[Text]] = [
        (
            str(each.control.cpu),
            change.register,
            change.before.padded,
            change.after.padded,
            maintenance.fields_text(change),
        )
        for each in answer.plan.writes
        for change in (each.control.change,)
    ]
    headers = ("CPU", "register", "was" if answer.applied else "is", "is" if answer.applied else "would be", "says")
    return Document([Line(head), Table(headers, rows, frozenset((0,))), Facts(_facts(answer))])


def _facts(answer: HardwareAsked) -> list[tuple[str, Text]]:
    facts: list[tuple[str, Text]] = [("means", Span(_LEARNS_NOTHING if answer.on else _FAULTS, Role.WARNING))]
    facts += [("dirty", answer.dirty_meaning)] if answer.dirty_meaning else []
    borrowed = list(dict.fromkeys(maintenance.loan_text(loan) for each in answer.plan.writes for loan in each.loans))
    if borrowed:
        facts.append(("borrowed" if answer.applied else "would borrow", ", ".join(borrowed)))
    if answer.applied and answer.invalidation is None:
        facts.append(("TLB", "emptied on every CPU, by QEMU itself"))
    elif answer.invalidation is not None:
        facts.append(("TLB", "invalidated after the writes"))
        facts += maintenance.borrowed_rows(answer.invalidation, True)
    facts += labelled("ran on", [f"CPU {number}, alone, to {at:#x}" for number, at in answer.ran.items()])
    facts += [("left alone", f"CPU {number}: {why}") for number, why in answer.plan.left.items()]
    if answer.pending:
        numbers = ", ".join(map(str, answer.pending))
        said = f"CPU {numbers}: at a fault that was taken before; `mmu fixup --resume` there, or `mmu service` for all"
        facts.append(("pending", said))
    return [*facts, maintenance.UNDO] if answer.applied else facts


def record(answer: HardwareAsked) -> JsonObject:
    return {
        "on": answer.on,
        "dirty": bool(answer.dirty_meaning),
        "writes": [_write_record(each) for each in answer.plan.writes],
        "left_alone": {str(number): why for number, why in answer.plan.left.items()},
        "pending": list(answer.pending),
        "ran_on": {str(number): hexadecimal(at) for number, at in answer.ran.items()},
        "invalidation": maintenance.invalidation_record(answer.invalidation),
        "applied": answer.applied,
    }


def _write_record(write: ControlWrite) -> JsonObject:
    return {
        **maintenance.control_record(write.control),
        "borrowed": [maintenance.loan_record(loan) for loan in write.loans],
    }
