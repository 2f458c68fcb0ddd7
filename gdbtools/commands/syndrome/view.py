"""How the answers of `syndrome` look, and what is recorded of them."""

from __future__ import annotations

from gdbtools import systems
from gdbtools.analysis.faults.belonging import Belonging
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import Access, ExceptionRecord, Syndrome, Transfer, TrappedOperand
from gdbtools.bits import FieldValue
from gdbtools.commands.evidence import belonging_record, control_text, fault_name, fault_record, field_value, none_taken
from gdbtools.commands.pictures import word_picture
from gdbtools.commands.syndrome.run import Decoded, TrapControls
from gdbtools.render.document import Block, Document, Facts, Line, Role, Span, Text
from gdbtools.render.json import JsonObject, hexadecimal, optional_hexadecimal
from gdbtools.wording import name_of


def sentence(syndrome: Syndrome) -> list[str | Span]:
    """Return a syndrome in one line: its class, and the fault with what was wanted, or the instruction."""
    said: list[str | Span] = [Span(syndrome.name, Role.HEADING)]
    if syndrome.not_told_apart:
        # Its name has it all, and a level or a reason nobody knows.
        return said
    if syndrome.fault is not None:
        said += [": ", Span(fault_name(syndrome.fault), Role.BAD)]
    if syndrome.access_kind is not None:
        said.append(f", {syndrome.access_kind.label}")
    if syndrome.instruction and syndrome.instruction != syndrome.name:
        said += [": ", Span(syndrome.named_instruction, Role.NAME)]
    return said


def with_reason(syndrome: Syndrome) -> list[str | Span]:
    """Return a syndrome in one line, with what it says of the reason in words of its own."""
    return [*sentence(syndrome), f": {syndrome.reason}"] if syndrome.reason else sentence(syndrome)


def syndrome_rows(
    syndrome: Syndrome,
    exception: ExceptionRecord | None,
    traps: TrapControls,
    convention: str,
    operand: TrappedOperand | None = None,
) -> list[tuple[str, Text]]:
    """Return what follows from a syndrome, and from the registers around it."""
    rows: list[tuple[str, Text]] = []
    if exception is not None and syndrome.instruction and not traps and syndrome.target:
        rows.append(("trapped by", "no control that is set now: the registers changed, or are not available"))
    rows += [("trapped by" if number == 0 else "", trap_text(*trap)) for number, trap in enumerate(traps)]
    rows += [("operand", operand_text(operand))] if operand is not None else []
    rows += [("convention", convention)] if convention else []
    rows += _routing_rows(exception) if exception is not None else []
    rows += [("transfer", transfer_text(syndrome.transfer))] if syndrome.transfer else []
    return [*rows, *(("note", note) for note in syndrome.notes)]


def _routing_rows(exception: ExceptionRecord) -> list[tuple[str, Text]]:
    """Return which level takes such an exception, by the register fields that decide it."""
    if exception.routed_to is None:
        return []
    bits = ", ".join(f"{register}.{field_value(control)}" for register, control in exception.routing)
    if exception.routed_to == exception.target:
        return [("delegation", f"{bits}: {exception.target.label} takes it")]
    said = f"{bits}: {exception.routed_to.label} takes it, so that software handed it on to {exception.target.label}"
    return [("delegation", said)]


def trap_text(register: str, control: FieldValue) -> list[str | Span]:
    said = control_text(register, control)
    return [*said, f": {control.field.doc}"] if control.field.doc else said


def _held(register: str, held_in: str) -> str:
    """Return a register's name, with where it is to be read where that is another's."""
    return f"{register} (in {held_in})" if held_in else register


def operand_text(operand: TrappedOperand) -> str:
    said = f"{_held(operand.register, operand.held_in)} = {operand.value:#x}"
    parts = ", ".join(f"{each.field.doc} {each.meaning or each.value}" for each in operand.parts)
    return "".join((said, f": {parts}" if parts else "", f"; {operand.unknown}" if operand.unknown else ""))


def transfer_text(transfer: Transfer) -> str:
    unit = "byte" if transfer.size_bytes == 1 else f"{transfer.size_bytes} bytes"
    said = f"{unit}, register {_held(transfer.register, transfer.held_in)}"
    said += ", sign extended" if transfer.signed else ""
    return said + (", acquire or release" if transfer.ordered else "")


def view(answer: Decoded) -> Document:
    syndrome, exception = answer.syndrome, answer.exception
    untaken = "" if exception is None else systems.untaken(answer.architecture, exception)
    if untaken:
        return Document([Line(none_taken(untaken))])
    belongs = answer.belongs
    blocks: list[Block] = [Line([f"{int(syndrome.word):#x}: ", *_whose(belongs), *with_reason(syndrome)])]
    names = answer.architecture.exceptions.names_of(syndrome) if exception is None else exception.names
    joined = exception if belongs is None or belongs.joined else None
    rows: list[tuple[str, Text]] = syndrome_rows(syndrome, joined, answer.traps, answer.convention)
    overwritten = belongs is not None and belongs.overwritten
    rows.append((names.address, _not_of_it(belongs) if belongs and overwritten else syndrome.address.value))
    if syndrome.ipa_valid:
        rows.append((names.ipa, names.ipa_holds))
    if overwritten and belongs and not belongs.newer_address:
        rows.append((names.return_address, "where the CPU last returned to, from this exception or a later one"))
    else:
        its_own = belongs is None or belongs.joined or belongs.newer_address
        returns = syndrome.returns.value if belongs is None or its_own else _not_of_it(belongs)
        rows.append((names.return_address, returns))
    blocks.append(Facts(rows))
    blocks.append(word_picture(syndrome.word, "the syndrome"))
    unused = [each.field.name for each in syndrome.word.decoded() if not each.applicable]
    return Document([*blocks, Facts([("not applicable", ", ".join(unused))])] if unused else blocks)


def _whose(belongs: Belonging | None) -> list[str | Span]:
    """Return which exception a syndrome is of, where it is not the one that the CPU has just taken."""
    if belongs is None or not belongs.last:
        return []
    return ["older exception: " if belongs.interrupt else "last exception: "]


def _not_of_it(belongs: Belonging) -> str:
    if belongs.interrupt:
        return f"not of this exception, but of the {belongs.interrupt} that was taken after it"
    return f"not of this exception: {belongs.reason}"


def syndrome_record(
    syndrome: Syndrome,
    architecture: Architecture,
    traps: TrapControls = (),
    convention: str = "",
    operand: TrappedOperand | None = None,
) -> JsonObject:
    """Record a syndrome: the value, its fields from the most significant down, and what follows from them."""
    fault, transfer, kind = syndrome.fault, syndrome.transfer, syndrome.access_kind
    access = None if kind is None else Access(kind, architecture.supervisor)
    address_valid, address_meaning, ipa_valid = architecture.exceptions.recorded_as
    return {
        "value": hexadecimal(syndrome.word),
        **({} if operand is None else {"operand": operand_record(operand)}),
        "class": syndrome.name,
        "fault": None if fault is None else {**fault_record(fault, architecture, access), "s1ptw": syndrome.s1ptw},
        "access": None if syndrome.access_kind is None else name_of(syndrome.access_kind),
        "instruction": syndrome.instruction or None,
        "target": syndrome.target or None,
        "immediate": optional_hexadecimal(syndrome.immediate),
        "convention": convention or None,
        "transfer": None if transfer is None else transfer_record(transfer),
        "trapped_by": [trap_record(*trap) for trap in traps],
        "from_lower": syndrome.from_lower,
        address_valid: syndrome.address_valid,
        address_meaning: name_of(syndrome.address),
        ipa_valid: syndrome.ipa_valid,
        "returns_to": name_of(syndrome.returns),
        "notes": list(syndrome.notes),
        "fields": [field_record(each) for each in syndrome.word.decoded()],
        "reserved": hexadecimal(syndrome.word.reserved),
    }


def trap_record(register: str, control: FieldValue) -> JsonObject:
    return {"register": register, **field_record(control)}


def field_record(value: FieldValue) -> JsonObject:
    """Record a field; what does not apply has bits, and no meaning."""
    return {
        "name": value.field.name,
        "bits": value.field.position,
        "raw": hexadecimal(value.value),
        "applies": value.applicable,
        "meaning": value.field.meaning(value.value) or None if value.applicable else None,
        "about": value.field.doc,
    }


def transfer_record(transfer: Transfer) -> JsonObject:
    return {
        "size_bytes": transfer.size_bytes,
        "register": transfer.register,
        **({"held_in": transfer.held_in} if transfer.held_in else {}),
        "signed": transfer.signed,
        "ordered": transfer.ordered,
    }


def operand_record(operand: TrappedOperand) -> JsonObject:
    return {
        "register": operand.register,
        **({"held_in": operand.held_in} if operand.held_in else {}),
        "value": hexadecimal(operand.value),
        "parts": [field_record(each) for each in operand.parts],
        "unknown": operand.unknown or None,
    }


def routing_record(exception: ExceptionRecord) -> JsonObject:
    """Record which level takes such an exception; nothing where no register says so."""
    if exception.routed_to is None:
        return {}
    by = [trap_record(*each) for each in exception.routing]
    return {"delegation": {"taken_by": exception.routed_to.label, "by": by}}


def record(answer: Decoded) -> JsonObject:
    said = syndrome_record(answer.syndrome, answer.architecture, answer.traps, answer.convention)
    said |= {} if answer.exception is None else routing_record(answer.exception)
    return said if answer.belongs is None else said | belonging_record(answer.belongs)
