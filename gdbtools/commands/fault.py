"""`fault`: why did it fault?  The verdict in one sentence, the deciding bit and where it lives, then the evidence."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.analysis.diagnosis import Diagnosis, Verdict, diagnose
from gdbtools.arch.architecture import Architecture
from gdbtools.arch.model import AddressMeaning, Fault, FaultKind
from gdbtools.commands.esr import sentence as syndrome_sentence
from gdbtools.commands.esr import syndrome_record, syndrome_rows
from gdbtools.commands.evidence import (
    WHY,
    access_name,
    decider_text,
    evidence,
    fault_name,
    field_value,
    refusal_record,
    walk_record,
)
from gdbtools.commands.model import Command, Session
from gdbtools.commands.what_if import ARGUMENTS, Supposition, suppose, supposition_records, supposition_rows
from gdbtools.render.document import Block, Document, Facts, Line, Role, Span, Text
from gdbtools.render.json import JsonObject, hexadecimal, name_of, optional_hexadecimal
from gdbtools.repair.access_flag import left_to_hardware


@dataclass(frozen=True)
class Answer:
    """A diagnosis, and the architecture it was made in."""

    diagnosis: Diagnosis
    architecture: Architecture
    suppositions: tuple[Supposition, ...] = ()


def run(session: Session, options: Namespace) -> Sequence[Answer]:
    supposed = suppose(session.machine, options)
    machine = supposed.machine
    found = diagnose(machine.architecture, machine.register, machine.memory.read)
    return (Answer(found, machine.architecture, supposed.suppositions),)


def verdict(diagnosis: Diagnosis) -> list[str | Span]:
    """Say in one sentence what happened and what the tables say of it."""
    exception, syndrome = diagnosis.exception, diagnosis.exception.syndrome
    fault, access, predicted = syndrome.fault, diagnosis.access, diagnosis.predicted
    if fault is None or access is None:
        return [*_elsewhere(diagnosis), ": not a matter of the translation tables."]
    what = f"{access_name(access)} of {exception.address:#x}"
    name = fault_name(fault)
    if diagnosis.verdict is Verdict.TABLES_AGREE:
        assert predicted is not None, "tables that agree refuse"
        said = WHY[predicted.decider.cause]
        return [f"{what}: ", Span(name, Role.BAD), f", and the tables agree: {said}."]
    if diagnosis.verdict is Verdict.TABLES_PERMIT:
        return [f"{what}: ", Span(name, Role.BAD), ", but ", Span("the tables permit it now", Role.WARNING), "."]
    if diagnosis.verdict is Verdict.TABLES_DIFFER:
        assert predicted is not None, "tables that differ refuse"
        other = Span(f"the tables say {fault_name(predicted.fault)}", Role.WARNING)
        return [f"{what}: ", Span(name, Role.BAD), ", but ", other, f": {WHY[predicted.decider.cause]}."]
    return [f"{what}: ", Span(name, Role.BAD), ": not a matter of the translation tables."]


def _elsewhere(diagnosis: Diagnosis) -> list[str | Span]:
    """Say what happened where no address was translated: who did what, and what kept it from being done."""
    exception, syndrome = diagnosis.exception, diagnosis.exception.syndrome
    said: list[str | Span] = [f"EL{exception.el} ", Span(syndrome.instruction or syndrome.name, Role.HEADING)]
    if syndrome.fault is not None:
        said += [": ", Span(fault_name(syndrome.fault), Role.BAD)]
        said += [] if syndrome.address_valid else [f", FAR_EL{exception.target} is not valid"]
    if diagnosis.traps:
        which = ", ".join(f"{register}.{field_value(control)}" for register, control in diagnosis.traps)
        said.append(f": trapped to EL{exception.target} by {which}")
    elif syndrome.instruction and syndrome.instruction.split()[0] not in syndrome.name:
        said.append(f": {syndrome.name}")
    return [*said, f" ({diagnosis.convention})"] if diagnosis.convention else said


def _rows(diagnosis: Diagnosis) -> list[tuple[str, Text]]:
    exception, predicted = diagnosis.exception, diagnosis.predicted
    target = exception.target
    rows: list[tuple[str, Text]] = []
    if predicted is not None:
        rows.append(("deciding bit", decider_text(predicted.decider)))
    if diagnosis.controls:
        rows.append(("hardware", _hardware(diagnosis)))
    if diagnosis.verdict is Verdict.TABLES_PERMIT and not left_to_hardware(diagnosis):
        rows.append(("perhaps", "another CPU repaired it since, or a TLB kept an older entry"))
    if diagnosis.verdict is Verdict.TABLES_DIFFER:
        rows.append(("perhaps", "the tables changed since the fault, or these registers are of another exception"))
    syndrome = exception.syndrome
    rows += syndrome_rows(syndrome, exception, diagnosis.traps, diagnosis.convention)
    rows.append(("syndrome", [f"ESR_EL{target} {int(syndrome.word):#x}  ", *syndrome_sentence(syndrome)]))
    if syndrome.address_valid:
        rows.append(("address", _address(diagnosis)))
    if exception.ipa is not None:
        rows.append(("IPA", f"HPFAR_EL2: in the page at {exception.ipa:#x}"))
    rows.append(("came from", f"EL{exception.el}, SPSR_EL{target} {exception.state:#x}"))
    rows.append(("returns to", f"ELR_EL{target} {exception.return_address:#x}, {syndrome.returns.value}"))
    stands = f"at the vector entry {diagnosis.entry}" if diagnosis.entry else "at no vector entry"
    unsure = "" if diagnosis.entry else ": this is the last exception taken, whenever that was"
    rows.append(("pc", f"{stands}{unsure}"))
    if _repairable(diagnosis):
        rows.append(("next", Span("mmu fixup --resume" if diagnosis.entry else "mmu fixup", Role.COMMAND)))
    return rows


def _address(diagnosis: Diagnosis) -> str:
    exception, meaning = diagnosis.exception, diagnosis.exception.syndrome.address
    said = f"FAR_EL{exception.target} {exception.address:#x}"
    if meaning not in (AddressMeaning.ACCESSED, AddressMeaning.FETCHED):
        said += f", {meaning.value}"
    tag = diagnosis.walk.regime.tag_of(exception.address) if diagnosis.walk else 0
    return f"{said}; {tag:#x} of it is a tag" if tag else said


def _hardware(diagnosis: Diagnosis) -> str:
    said = ", ".join(f"{register}.{field_value(control)}" for register, control in diagnosis.controls)
    if all(control.value for _, control in diagnosis.controls):
        return f"{said}: hardware sets the access flag; ask why it did not"
    return f"{said}: software sets the access flag"


def _repairable(diagnosis: Diagnosis) -> bool:
    fault = diagnosis.exception.syndrome.fault
    agreed = diagnosis.verdict is Verdict.TABLES_AGREE and _is_access_flag(fault)
    return agreed or left_to_hardware(diagnosis)


def _is_access_flag(fault: Fault | None) -> bool:
    return fault is not None and fault.kind is FaultKind.ACCESS_FLAG


def view(answer: Answer) -> Document:
    diagnosis = answer.diagnosis
    blocks: list[Block] = [Line(verdict(diagnosis)), Facts([*supposition_rows(answer.suppositions), *_rows(diagnosis)])]
    return Document([*blocks, *(evidence(diagnosis.walk) if diagnosis.walk else ())])


def record(answer: Answer) -> JsonObject:
    diagnosis, architecture = answer.diagnosis, answer.architecture
    exception = diagnosis.exception
    result: JsonObject = {
        "verdict": name_of(diagnosis.verdict),
        "sentence": "".join(each if isinstance(each, str) else each.text for each in verdict(diagnosis)),
        "syndrome": syndrome_record(exception.syndrome, architecture, diagnosis.traps, diagnosis.convention),
        "address": hexadecimal(exception.address),
        "ipa": optional_hexadecimal(exception.ipa),
        "return_address": hexadecimal(exception.return_address),
        "saved_state": hexadecimal(exception.state),
        "vector_entry": diagnosis.entry or None,
        "access": {"kind": name_of(diagnosis.access.kind), "el": diagnosis.access.el} if diagnosis.access else None,
        "predicted": refusal_record(diagnosis.predicted, architecture) if diagnosis.predicted else None,
        "walk": walk_record(diagnosis.walk, architecture) if diagnosis.walk else None,
    }
    if answer.suppositions:
        result["supposing"] = supposition_records(answer.suppositions)
    return result


COMMAND = Command(
    name="fault",
    summary="Explain the current fault: the verdict, the deciding bit, the evidence",
    description=(
        "Join the syndrome and the fault address with a walk of that address and a replay of the permission check,\n"
        "and say which bit decided and where it lives; or that the tables disagree with what the hardware said."
    ),
    arguments=ARGUMENTS,
    run=run,
    view=view,
    record=record,
    finding=lambda answer: answer.diagnosis.exception.syndrome.fault is not None,
)
