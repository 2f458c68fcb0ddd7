"""`fault`: why did it fault?  The verdict in one sentence, the deciding bit and where it lives, then the evidence."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.analysis.diagnosis import Aborted, Diagnosis, Verdict, diagnose
from gdbtools.analysis.suspicion import PAGE_BYTES, Cause, Suspicion, suspicions
from gdbtools.arch.architecture import Architecture, ExceptionRecord
from gdbtools.arch.model import AddressMeaning, Fault, FaultKind
from gdbtools.commands.esr import sentence as syndrome_sentence
from gdbtools.commands.esr import syndrome_record, syndrome_rows
from gdbtools.commands.evidence import (
    WHY,
    access_name,
    decider_text,
    fault_name,
    field_value,
    refusal_record,
    walk_record,
)
from gdbtools.commands.model import Command, Session
from gdbtools.commands.pictures import illustrated
from gdbtools.commands.what_if import ARGUMENTS, Supposition, suppose, supposition_records, supposition_rows
from gdbtools.errors import Unavailable
from gdbtools.machine.model import Machine
from gdbtools.render.document import Block, Document, Facts, Line, Role, Span, Text
from gdbtools.render.json import JsonObject, hexadecimal, name_of, optional_hexadecimal
from gdbtools.repair.access_flag import left_to_hardware


@dataclass(frozen=True)
class Answer:
    """A diagnosis, and the architecture it was made in."""

    diagnosis: Diagnosis
    architecture: Architecture
    suppositions: tuple[Supposition, ...] = ()
    suspicions: tuple[Suspicion, ...] = ()


def run(session: Session, options: Namespace) -> Sequence[Answer]:
    supposed = suppose(session.machine, options)
    machine = supposed.machine
    found = diagnose(machine.architecture, machine.register, machine.memory.read)
    suspected = suspicions(found, _elsewhere(machine)) if found.verdict is Verdict.TABLES_PERMIT else ()
    return (Answer(found, machine.architecture, supposed.suppositions, suspected),)


def _elsewhere(machine: Machine) -> list[tuple[int, ExceptionRecord]]:
    """Give the exceptions of the other CPUs that stand at a vector entry, their registers being current."""
    found = []
    for cpu in machine.cpus:
        if cpu.number == machine.current:
            continue
        try:
            if machine.architecture.entry(cpu.registers.read):
                found.append((cpu.number, machine.architecture.exception(cpu.registers.read)))
        except Unavailable:
            continue
    return found


def verdict(diagnosis: Diagnosis) -> list[str | Span]:
    """Say in one sentence what happened and what the tables say of it."""
    exception, syndrome = diagnosis.exception, diagnosis.exception.syndrome
    fault, access, predicted = syndrome.fault, diagnosis.access, diagnosis.predicted
    if fault is None or access is None:
        return [*_untranslated(diagnosis), ": not a matter of the translation tables."]
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
    if diagnosis.verdict is Verdict.NOT_REPLAYED:
        which = ", ".join(field_value(each) for each in syndrome.other_rules)
        return [f"{what}: ", Span(name, Role.BAD), f", by a rule that is not replayed here: {which}."]
    if diagnosis.aborted is not None:
        return [f"{what}: ", Span(name, Role.BAD), f" on the table walk: {_abort_text(diagnosis.aborted)}."]
    return [f"{what}: ", Span(name, Role.BAD), ": not a matter of the translation tables."]


def _abort_text(aborted: Aborted) -> str:
    if aborted.pa is None:
        return f"the tables have no level {aborted.level} descriptor for it now"
    where = f"the level {aborted.level} descriptor at PA {aborted.pa:#x}"
    return f"{where} can be read now" if aborted.readable else f"no memory answers at PA {aborted.pa:#x}"


def _untranslated(diagnosis: Diagnosis) -> list[str | Span]:
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


def _rows(diagnosis: Diagnosis, suspected: Sequence[Suspicion] = ()) -> list[tuple[str, Text]]:
    exception, predicted = diagnosis.exception, diagnosis.predicted
    target = exception.target
    rows: list[tuple[str, Text]] = []
    if predicted is not None:
        rows.append(("deciding bit", decider_text(predicted.decider)))
    if diagnosis.controls:
        rows.append(("hardware", _hardware(diagnosis)))
    if not left_to_hardware(diagnosis):
        rows += [("perhaps" if not number else "or", suspicion_text(each)) for number, each in enumerate(suspected)]
    if diagnosis.verdict is Verdict.TABLES_DIFFER:
        rows.append(("perhaps", "the tables changed since the fault, or these registers are of another exception"))
    syndrome = exception.syndrome
    rows += syndrome_rows(syndrome, exception, diagnosis.traps, diagnosis.convention)
    rows.append(("syndrome", [f"ESR_EL{target} {int(syndrome.word):#x}  ", *syndrome_sentence(syndrome)]))
    if syndrome.address_valid:
        rows.append(("address", _address(diagnosis)))
    if exception.ipa is not None:
        rows.append(("IPA", _ipa(exception.ipa, diagnosis.leads_to)))
    rows.append(("came from", f"EL{exception.el}, SPSR_EL{target} {exception.state:#x}"))
    rows.append(("returns to", f"ELR_EL{target} {exception.return_address:#x}, {syndrome.returns.value}"))
    stands = f"at the vector entry {diagnosis.entry}" if diagnosis.entry else "at no vector entry"
    unsure = "" if diagnosis.entry else ": this is the last exception taken, whenever that was"
    rows.append(("pc", f"{stands}{unsure}"))
    if _repairable(diagnosis):
        rows.append(("next", Span("mmu fixup --resume" if diagnosis.entry else "mmu fixup", Role.COMMAND)))
    return rows


SUSPICIONS = {
    Cause.OTHER_EXCEPTION: "this is an older exception, settled since: catch the next one with `mmu catch`",
    Cause.REPAIRED: "the tables were changed after the fault, by another CPU or a hypervisor: go on, it faults no more",
    Cause.STALE_LEAF: "a TLB kept an older leaf: go on, it faults again, until a TLBI of this address and ASID",
    Cause.STALE_TABLE: "a TLB kept an older table on the way: it faults again, until a TLBI that is not last-level",
    Cause.MISSING_BARRIER: "the table was written without DSB and ISB: go on, it faults no more; look at the writer",
}
"""Each cause with the test that tells it from the others."""


def suspicion_text(suspicion: Suspicion) -> str:
    said = SUSPICIONS[suspicion.cause]
    numbers = ", ".join(str(number) for number in suspicion.witnesses)
    plural = "s" if len(suspicion.witnesses) > 1 else ""
    return f"{said} (CPU{plural} {numbers}: the same fault in the same page)" if numbers else said


def _ipa(page: int, leads_to: int | None) -> str:
    said = f"HPFAR_EL2: in the page at {page:#x}"
    if leads_to is None:
        return f"{said}; the guest's tables lead to no IPA now"
    agrees = leads_to // PAGE_BYTES == page // PAGE_BYTES
    return f"{said}, as the guest's tables say" if agrees else f"{said}; the guest's tables lead to {leads_to:#x} now"


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
    blocks: list[Block] = [
        Line(verdict(diagnosis)),
        Facts([*supposition_rows(answer.suppositions), *_rows(diagnosis, answer.suspicions)]),
    ]
    return Document([*blocks, *(illustrated(diagnosis.walk, diagnosis.predicted) if diagnosis.walk else ())])


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
        "suspicions": [{"cause": name_of(each.cause), "cpus": list(each.witnesses)} for each in answer.suspicions],
        "aborted": _aborted_record(diagnosis.aborted) if diagnosis.aborted else None,
        "predicted": refusal_record(diagnosis.predicted, architecture) if diagnosis.predicted else None,
        "walk": walk_record(diagnosis.walk, architecture) if diagnosis.walk else None,
    }
    if answer.suppositions:
        result["supposing"] = supposition_records(answer.suppositions)
    return result


def _aborted_record(aborted: Aborted) -> JsonObject:
    return {
        "level": aborted.level,
        "descriptor_address": optional_hexadecimal(aborted.pa),
        "readable": aborted.readable,
    }


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
