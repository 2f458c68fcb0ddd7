"""How the answers of `fault` look, and what is recorded of them."""

from __future__ import annotations

from gdbtools.analysis.faults.belonging import Belonging, BelongingEvidence
from gdbtools.analysis.faults.diagnosis import Aborted, Diagnosis, Verdict, level_of_lookup
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import Access, AddressMeaning, ExceptionRecord, Fault, FaultKind, Shown
from gdbtools.bits import FieldValue
from gdbtools.commands.evidence import (
    belonging_record,
    decider_text,
    fault_called,
    field_value,
    refusal_record,
    steps_table,
    walk_record,
)
from gdbtools.commands.fault.alignment import alignment_text
from gdbtools.commands.fault.run import Answer, FaultSymbols
from gdbtools.commands.fault.second_stage import second_stage_record, second_stage_rows
from gdbtools.commands.fault.suspicion import change_record, change_text, suspicion_record, suspicion_rows
from gdbtools.commands.fault.verdict import ipa_label
from gdbtools.commands.guest_frames import frame_blocks, walk_frames_record
from gdbtools.commands.pictures import illustrated
from gdbtools.commands.spaces import isolation_record, space_rows
from gdbtools.commands.syndrome.view import routing_record, syndrome_record, syndrome_rows
from gdbtools.commands.syndrome.view import sentence as syndrome_sentence
from gdbtools.commands.what_if import supposition_records, supposition_rows
from gdbtools.render.document import Block, Document, Facts, Line, Role, Span, Text, labelled
from gdbtools.render.json import JsonObject, hexadecimal, optional_hexadecimal
from gdbtools.units import PAGE_BYTES
from gdbtools.wording import name_of

_OF_PRESENT = (
    FaultKind.PERMISSION,
    FaultKind.ACCESS_FLAG,
    FaultKind.PROTECTION_KEY,
    FaultKind.DOMAIN,
    FaultKind.RESERVED_BIT,
)
"""What refuses although the entry is there."""


def named(address: int, symbol: str) -> str:
    """Return an address with its symbol behind it, as GDB writes it."""
    return f"{address:#x} <{symbol}>" if symbol else f"{address:#x}"


def _place_rows(answer: Answer) -> list[tuple[str, Text]]:
    if answer.place is None:
        return []
    from gdbtools.commands.tasks.naming import place_rows  # only such an answer needs it

    predicted = answer.diagnosis.predicted
    return place_rows(answer.place, None if predicted is None else predicted.fault, answer.diagnosis.access)


def _rows(answer: Answer) -> list[tuple[str, Text]]:
    diagnosis, suspected, symbols = answer.diagnosis, answer.suspicions, answer.symbols
    exception, predicted = diagnosis.exception, diagnosis.predicted
    rows: list[tuple[str, Text]] = []
    if diagnosis.verdict is Verdict.NONE_TAKEN:
        return rows
    if predicted is not None and diagnosis.verdict is Verdict.NOT_ONE_EXCEPTION:
        # Of this walk, and no more: nobody knows by which tables the fault was taken, and what asked.
        rows.append(
            (
                "the tables",
                [
                    f"now refuse by {fault_called(predicted.fault, answer.architecture)}: ",
                    *decider_text(predicted.decider),
                ],
            )
        )
    elif predicted is not None:
        rows.append(("deciding bit", decider_text(predicted.decider)))
    rows += [("software", answer.software)] if answer.software else []
    rows += _place_rows(answer)
    rows += second_stage_rows(answer.second_stage, ipa_label(diagnosis), exception.syndrome.transfer is not None)
    if diagnosis.controls:
        rows.append(("hardware", _hardware(diagnosis, answer.asked_since)))
    loops = loops_where_presence_counts(diagnosis)
    rows += [("not spurious", loops)] if loops else []
    rows += _limits(diagnosis)
    back = answer.architecture.base_name(exception.names.return_address)
    if diagnosis.inferred:
        rows.append(("instruction", f"not readable at {back}: taken for one that this refuses, as it refuses no other"))
    aligned = alignment_text(diagnosis)
    rows += [("alignment", aligned)] if aligned else []
    words = answer.architecture.exceptions.words_for(exception)
    rows += suspicion_rows(suspected, _in_question(diagnosis), words, answer.architecture.exceptions.fault_forgets)
    if not diagnosis.belongs.joined:
        return [*rows, *_apart_rows(diagnosis, symbols, back)]
    if answer.changed is not None:
        rows.append(("changed", change_text(answer.changed)))
    elif diagnosis.verdict is Verdict.TABLES_DIFFER:
        other = "" if diagnosis.entry else ", or these registers are of another exception"
        rows.append(("perhaps", f"the tables changed since the fault{other}"))
    syndrome = exception.syndrome
    rows += syndrome_rows(syndrome, exception, diagnosis.traps, diagnosis.convention, diagnosis.operand)
    rows.append(("syndrome", _syndrome(exception)))
    if syndrome.address_valid:
        rows.append(("address", _address(diagnosis, symbols)))
    if exception.ipa is not None:
        label = ipa_label(diagnosis)
        rows.append((label, _ipa(exception, exception.ipa, diagnosis.leads_to, label)))
    elif diagnosis.leads_to is not None:
        said = f"{diagnosis.leads_to:#x}, as the guest's tables say now; {exception.ipa_unknown}"
        rows.append((ipa_label(diagnosis), said))
    if exception.loaded and not diagnosis.entry and diagnosis.walk is not None:
        rows.append(("whose", f"{exception.loaded}, and nothing shows that the fault was that one's"))
    rows += _interrupted(exception, symbols)
    rows += _standing(diagnosis.belongs, symbols, back)
    if answer.live and answer.architecture.has("repair") and _repairable(diagnosis):
        rows.append(("next", Span("mmu fixup --resume" if diagnosis.entry else "mmu fixup", Role.COMMAND)))
        if diagnosis.hardware_could:
            rows.append(
                ("", [Span("mmu hardware-af on", Role.COMMAND), ": hardware then sets those of later accesses"])
            )
    return rows


def _in_question(diagnosis: Diagnosis) -> int:
    """Return the address of the translation that was refused: of the page, where the second stage did that."""
    exception, fault = diagnosis.exception, diagnosis.exception.syndrome.fault
    if fault is None or fault.stage == 1:
        return exception.address
    found = diagnosis.walk.below if diagnosis.walk is not None else None
    asked = exception.ipa if exception.ipa is not None else found.input if found is not None else exception.address
    return asked // PAGE_BYTES * PAGE_BYTES


def loops_where_presence_counts(diagnosis: Diagnosis) -> str:
    """Return that a handler which looks whether the entry is valid, and no further, would take this for spurious.

    Only where the syndrome does not tell a missing page from a missing right; empty elsewhere.
    """
    predicted = diagnosis.predicted
    agreed = diagnosis.verdict is Verdict.TABLES_AGREE and diagnosis.exception.syndrome.not_told_apart
    if not agreed or predicted is None or predicted.fault.kind not in _OF_PRESENT:
        return ""
    decider = predicted.decider
    refuses = field_value(FieldValue(decider.field, decider.value))
    of = "" if decider.pa is not None else f" in {decider.holder}"
    return f"the entry is valid, and {refuses}{of} refuses: a handler that checks no more than presence would loop"


def _interrupted(exception: ExceptionRecord, symbols: FaultSymbols) -> list[tuple[str, Text]]:
    """Return what was interrupted, as far as there are registers of it."""
    names, rows = exception.names, list[tuple[str, Text]]()
    if exception.state is not None and exception.origin is not None:
        shown = f"{exception.origin_shown}, " if exception.origin_shown else ""
        rows.append(("came from", f"{exception.origin.label}, {shown}{names.state} {exception.state:#x}"))
    elif exception.origin is not None:
        rows.append(("came from", f"{exception.origin.label}, {exception.origin_said}: there is no {names.state}"))
    if exception.return_address is not None:
        at = named(exception.return_address, symbols.return_address)
        said = f"{names.return_address} {at}, {exception.syndrome.returns.value}"
        rows.append(("returns to", said))
    return rows


def _standing(belongs: Belonging, symbols: FaultSymbols, back: str) -> list[tuple[str, Text]]:
    """Return where the CPU is, and what that or the code shows of the registers; `back` is the saved pc's."""
    at = f"{symbols.pc}, at" if symbols.pc else "at"
    if belongs.entry:
        return [("pc", f"{at} the vector entry {belongs.entry}")]
    if not belongs.joined and belongs.entry is not None:
        return [("pc", f"{at} no vector entry: what the registers hold is left from exceptions before")]
    if belongs.entry is None:
        return []
    rows: list[tuple[str, Text]] = [
        ("pc", f"{at} no vector entry: this is the last exception taken, whenever that was")
    ]
    if belongs.evidence is BelongingEvidence.FITS:
        rows.append(("evidence", f"{belongs.reason}: syndrome and {back} may be of one exception"))
    elif belongs.evidence is BelongingEvidence.NOT_SHOWN:
        rows.append(("evidence", f"whether syndrome and {back} are of one exception is not shown: {belongs.reason}"))
    return rows


def _saved(exception: ExceptionRecord, symbols: FaultSymbols) -> str:
    """Return the saved state, as far as there are registers of it."""
    names, said = exception.names, [] if exception.origin is None else [exception.origin.label]
    said += [] if exception.state is None else [f"{names.state} {exception.state:#x}"]
    if exception.return_address is not None:
        said.append(f"{names.return_address} {named(exception.return_address, symbols.return_address)}")
    return ", ".join(said)


def _syndrome(exception: ExceptionRecord) -> Text:
    syndrome = exception.syndrome
    return [f"{exception.names.syndrome} {int(syndrome.word):#x}  ", *syndrome_sentence(syndrome)]


def _apart_rows(diagnosis: Diagnosis, symbols: FaultSymbols, back: str) -> list[tuple[str, Text]]:
    """Return what is of the older exception, and what of the later; what would have to join the two is left out."""
    exception, belongs = diagnosis.exception, diagnosis.belongs
    older, later = ("older", "taken from") if belongs.interrupt else ("syndrome", "later")
    saved = _saved(exception, symbols)
    rows: list[tuple[str, Text]] = [(later, saved)] if belongs.interrupt else []
    rows.append((older, _syndrome(exception)))
    if belongs.overwritten:
        rows.append(("address", f"{exception.names.address} {exception.address:#x}, which is no evidence of it"))
    elif exception.syndrome.address_valid:
        rows.append(("" if belongs.interrupt else "address", _address(diagnosis, symbols)))
    if belongs.newer_address:
        rows += _interrupted(exception, symbols)
    elif belongs.overwritten:
        rows.append(("returned to", f"{saved}: from this exception or a later one"))
    elif not belongs.interrupt:
        rows.append((later, f"{saved}: an interrupt's, or another context's"))
    return [*rows, *_standing(belongs, symbols, back)]


def _limits(diagnosis: Diagnosis) -> list[tuple[str, Text]]:
    """Return what the syndrome or the deciding bit was measured by, where that is not in it."""
    fault, predicted, found = diagnosis.exception.syndrome.fault, diagnosis.predicted, diagnosis.walk
    if diagnosis.verdict is not Verdict.TABLES_AGREE or predicted is None or found is None or fault is None:
        return []
    if diagnosis.shown is not None:
        return [(diagnosis.shown.about, diagnosis.shown.said)]
    rows: list[tuple[str, Text]] = []
    if fault.kind is FaultKind.ADDRESS_SIZE:
        stage = found.final.regime if fault.stage == 2 and found.final else found.regime
        rows.append(("output size", f"{stage.output_last.bit_length()} bits, up to {stage.output_last:#x}"))
    if fault != predicted.fault and fault == level_of_lookup(predicted.fault, found):
        note = f"{fault.level} is that of the descriptor to be fetched, as QEMU 7.2 reports it"
        rows.append(("level", f"{note}; stage 2 refused at level {predicted.fault.level}"))
    return rows


def _ipa(exception: ExceptionRecord, page: int, leads_to: int | None, label: str) -> str:
    said = f"{exception.names.ipa}: {f'in the page at {page:#x}' if page % PAGE_BYTES == 0 else f'{page:#x}'}"
    if leads_to is None:
        return f"{said}; the guest's tables lead to no {label} now"
    agrees = leads_to // PAGE_BYTES == page // PAGE_BYTES
    return f"{said}, as the guest's tables say" if agrees else f"{said}; the guest's tables lead to {leads_to:#x} now"


def _address(diagnosis: Diagnosis, symbols: FaultSymbols) -> str:
    exception, meaning = diagnosis.exception, diagnosis.exception.syndrome.address
    said = f"{exception.names.address} {named(exception.address, symbols.address)}"
    if meaning not in (AddressMeaning.ACCESSED, AddressMeaning.FETCHED):
        said += f", {meaning.value}"
    tag = diagnosis.walk.regime.tag_of(exception.address) if diagnosis.walk else 0
    return f"{said}; {tag:#x} of it is a tag" if tag else said


def _hardware(diagnosis: Diagnosis, asked_since: bool) -> str:
    said = ", ".join(f"{register}.{field_value(control)}" for register, control in diagnosis.controls)
    decider = None if diagnosis.predicted is None else diagnosis.predicted.decider
    named = decider is not None and decider.pa is not None and decider.field.name != "AF"
    flag = decider.field.name if decider is not None and named else "the access flag"
    if all(control.value for _, control in diagnosis.controls):
        why = "since it was asked, at this stop" if asked_since else "ask why it did not"
        return f"{said}: hardware sets {flag}; {why}"
    return f"{said}: software sets {flag}"


def _repairable(diagnosis: Diagnosis) -> bool:
    predicted = diagnosis.predicted
    agreed = diagnosis.verdict is Verdict.TABLES_AGREE and predicted is not None and _is_access_flag(predicted.fault)
    return agreed or diagnosis.verdict is Verdict.LEFT_TO_HARDWARE


def _is_access_flag(fault: Fault) -> bool:
    return fault.kind is FaultKind.ACCESS_FLAG


def view(answer: Answer) -> Document:
    diagnosis = answer.diagnosis
    blocks: list[Block] = [
        Line(answer.verdict),
        Facts(
            [
                *supposition_rows(answer.suppositions),
                *_rows(answer),
                *labelled("passed on", answer.passed_on),
                *space_rows(answer.isolation, answer.space),
            ]
        ),
    ]
    if diagnosis.aborted is not None and diagnosis.aborted.so_far.steps:
        blocks.append(steps_table(diagnosis.aborted.so_far))
    blocks += illustrated(diagnosis.walk, diagnosis.predicted) if diagnosis.walk else ()
    return Document([*blocks, *frame_blocks(answer.frames)])


def _predicted_record(diagnosis: Diagnosis, architecture: Architecture) -> JsonObject | None:
    predicted = diagnosis.predicted
    return None if predicted is None else refusal_record(predicted, architecture, diagnosis.access, diagnosis.walk)


def record(answer: Answer) -> JsonObject:
    diagnosis, architecture = answer.diagnosis, answer.architecture
    exception, access = diagnosis.exception, diagnosis.access
    result: JsonObject = {
        "verdict": name_of(diagnosis.verdict),
        "sentence": "".join(each if isinstance(each, str) else each.text for each in answer.verdict),
        "syndrome": syndrome_record(
            exception.syndrome, architecture, diagnosis.traps, diagnosis.convention, diagnosis.operand
        ),
        "address": hexadecimal(exception.address),
        "ipa": optional_hexadecimal(exception.ipa),
        "return_address": optional_hexadecimal(exception.return_address),
        "saved_state": optional_hexadecimal(exception.state),
        "vector_entry": diagnosis.belongs.entry or None,
        **belonging_record(diagnosis.belongs),
        "symbols": {
            "pc": answer.symbols.pc or None,
            "return_address": answer.symbols.return_address or None,
            "address": answer.symbols.address or None,
        },
        "hardware": [_control_record(*each) for each in diagnosis.controls],
        "access": _access_record(access) if access else None,
        "suspicions": [suspicion_record(each) for each in answer.suspicions],
        "aborted": _aborted_record(diagnosis.aborted) if diagnosis.aborted else None,
        "backing": answer.backing,
        "predicted": _predicted_record(diagnosis, architecture),
        "walk": walk_record(diagnosis.walk, architecture) if diagnosis.walk else None,
    }
    if answer.isolation is not None:
        result |= {"space": answer.space, "isolation": isolation_record(answer.isolation)}
    if answer.passed_on:
        result["passed_on"] = list(answer.passed_on)
    if answer.frames is not None:
        result["guest_frames"] = walk_frames_record(answer.frames)
    result |= routing_record(exception)
    if answer.software:
        result["software"] = answer.software
    if answer.place is not None:
        from gdbtools.commands.tasks.naming import place_record  # only such an answer needs it

        result["place"] = place_record(answer.place)
    if exception.ipa_unknown:
        result["ipa_unknown"] = exception.ipa_unknown
    if answer.second_stage is not None:
        result["second_stage"] = second_stage_record(answer.second_stage)
    if loops_where_presence_counts(diagnosis):
        result["loops_where_presence_counts"] = True
    if answer.changed is not None:
        result["changed"] = change_record(answer.changed)
    if diagnosis.shown is not None:
        result["shown"] = _shown_record(diagnosis.shown)
    if answer.suppositions:
        result["supposing"] = supposition_records(answer.suppositions)
    return result


def _shown_record(shown: Shown) -> JsonObject:
    values = [hexadecimal(value) for value in shown.values]
    return {"register": shown.register, "field": shown.field.name, "values": values, "said": shown.said}


def _access_record(access: Access) -> JsonObject:
    return {"kind": name_of(access.kind), **access.privilege.record, "unprivileged": access.unprivileged}


def _control_record(register: str, control: FieldValue) -> JsonObject:
    return {"register": register, "field": control.field.name, "value": hexadecimal(control.value)}


def _aborted_record(aborted: Aborted) -> JsonObject:
    return {
        "level": aborted.level,
        "descriptor_address": optional_hexadecimal(aborted.pa),
        "readable": aborted.readable,
    }
