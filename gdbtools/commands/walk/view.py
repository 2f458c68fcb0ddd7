"""How the answers of `walk` look, and what is recorded of them."""

from __future__ import annotations

from gdbtools.analysis.contiguity import Contiguity
from gdbtools.arch.model import Fault, Mapped, Walk
from gdbtools.commands.evidence import access_name, fault_called, reason_text, refusal_record, walk_record
from gdbtools.commands.guest_frames import frame_blocks, walk_frames_record
from gdbtools.commands.pictures import illustrated
from gdbtools.commands.spaces import isolation_record, space_rows
from gdbtools.commands.walk.run import Translation
from gdbtools.commands.what_if import supposition_records, supposition_rows
from gdbtools.render.document import Document, Facts, Line, Role, Span, Text
from gdbtools.render.json import JsonObject, hexadecimal, optional_hexadecimal
from gdbtools.wording import name_of, size


def view(answer: Translation) -> Document:
    found = answer.walk
    rows = [*supposition_rows(answer.suppositions), *_contiguity_rows(answer.contiguity)]
    rows += [("software", answer.software)] if answer.software else []
    rows += _place_rows(answer)
    rows += space_rows(answer.isolation, answer.space)
    if answer.may_refuse is not None:
        fault = _called(answer, answer.may_refuse.fault)
        rows.append(("may be", [Span(f"a {fault}", Role.WARNING), ": ", *reason_text(answer.may_refuse)]))
    if answer.done_otherwise:
        rows.append(("note", Span(answer.done_otherwise, Role.WARNING)))
    notes = [Facts(rows)] if rows else []
    who = f" <{answer.symbol}>" if answer.symbol else ""
    who += f" ({access_name(answer.access)})" if answer.access else ""
    if answer.refused is not None:
        name = _called(answer, answer.refused.fault)
        form = " is not canonical" if name_of(answer.refused.decider.cause) == "not canonical" else ""
        headline = Line([f"{found.input:#x}{who}{form}: ", Span(name, Role.BAD)])
        shown = [*illustrated(found, answer.refused), *frame_blocks(answer.frames)]
        return Document([headline, Line(reason_text(answer.refused)), *notes, *shown])
    outcome = found.outcome
    assert isinstance(outcome, Mapped), "a walk that nothing refuses leads somewhere"
    allowed = f"{access_name(answer.access)} allowed, " if answer.access else ""
    leaf = f"{size(outcome.size_bytes)} {found.leaf.entry.kind.label}" if found.leaf else _off(found)
    target = Span(f"{outcome.address:#x}", Role.GOOD)
    symbol = f" <{answer.symbol}>" if answer.symbol else ""
    through = ""
    if found.final and found.destination:
        through = f"{found.final.regime.input_label} {found.destination.address:#x} -> "
    headline = Line([f"{found.input:#x}{symbol} -> {through}", target, f" ({allowed}{leaf})"])
    return Document([headline, *notes, *illustrated(found), *frame_blocks(answer.frames)])


def _place_rows(answer: Translation) -> list[tuple[str, Text]]:
    if answer.place is None:
        return []
    from gdbtools.commands.tasks.naming import place_rows  # only such an answer needs it

    refused = None if answer.refused is None else answer.refused.fault
    return place_rows(answer.place, refused, answer.access)


def _called(answer: Translation, fault: Fault) -> str:
    return fault_called(fault, answer.architecture, answer.access.kind if answer.access else None, answer.walk)


def _off(found: Walk) -> str:
    return f"{found.regime.stage_label} is off" if found.regime.stage == 2 else "the MMU is off"


def _contiguity_rows(run: Contiguity | None) -> list[tuple[str, Text]]:
    if run is None:
        return []
    what = f"a contiguous run of {size(run.size_bytes)} from {run.first:#x}"
    if run.breach is None:
        return [("part of", f"{what}, uniform")]
    where = f": the descriptor at PA {run.pa:#x}" if run.pa is not None else ""
    return [("part of", Span(f"{what} that is not one: {run.breach.sentence}{where}", Role.WARNING))]


def record(answer: Translation) -> JsonObject:
    result = walk_record(answer.walk, answer.architecture, answer.refused, answer.access)
    result["symbol"] = answer.symbol or None
    result["notes"] = [*answer.walk.regime.notes, *filter(None, (answer.done_otherwise,))]
    if answer.access:
        access: JsonObject = {"kind": name_of(answer.access.kind), **answer.access.privilege.record}
        result["access"] = access | {"unprivileged": answer.access.unprivileged}
        perhaps = answer.may_refuse
        result["may_be_refused"] = (
            None if perhaps is None else refusal_record(perhaps, answer.architecture, answer.access, answer.walk)
        )
    if answer.contiguity:
        run = answer.contiguity
        result["contiguous_run"] = {
            "first": hexadecimal(run.first),
            "size": run.size_bytes,
            "breach": None if run.breach is None else name_of(run.breach),
            "descriptor_address": optional_hexadecimal(run.pa),
        }
    if answer.software:
        result["software"] = answer.software
    if answer.place is not None:
        from gdbtools.commands.tasks.naming import place_record  # only such an answer needs it

        result["place"] = place_record(answer.place)
    if answer.isolation is not None:
        result["isolation"] = isolation_record(answer.isolation)
    result["space"] = answer.space
    if answer.frames is not None:
        result["guest_frames"] = walk_frames_record(answer.frames)
    if answer.suppositions:
        result["supposing"] = supposition_records(answer.suppositions)
    return result
