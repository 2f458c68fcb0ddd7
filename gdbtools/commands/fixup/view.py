"""How the answers of `fixup` look, and what is recorded of them."""

from __future__ import annotations

from gdbtools.arch.capabilities import DescriptorRepair, DirtyConvention
from gdbtools.arch.gadgets import Need
from gdbtools.arch.model import AccessKind
from gdbtools.commands.evidence import belonging_record, fault_called, refusal_record, word_text
from gdbtools.commands.fixup.run import Fixup
from gdbtools.render.document import Document, Facts, Line, Role, Span, Text
from gdbtools.render.json import JsonObject, hexadecimal
from gdbtools.wording import name_of


def view(answer: Fixup) -> Document:
    change = answer.plan.change
    if not answer.plan.writes:
        return _settled(answer)
    done = Span("Set the access flag", Role.GOOD) if answer.applied else Span("Would set the access flag", Role.WARNING)
    head = Line([done, f" of the level {answer.plan.level.number} descriptor at PA {change.pa:#x}."])
    rows: list[tuple[str, Text]] = [
        ("before", f"{change.before.padded}  {word_text(change.before)}"),
        ("after", f"{change.after.padded}  {word_text(change.after)}"),
        ("dirty", _dirty(answer)),
        ("TLB", _tlb(answer.architecture.repair, answer.tables)),
    ]
    if answer.belongs.last:
        rows.append(("of", f"the last exception, whenever that was: {answer.belongs.reason}"))
        rows.append(("safe", "the tables refuse just this now, and the next access would set the same flag"))
    if answer.plan.hardware_should and not answer.asked_since:
        rows.append(("warning", Span(f"{answer.plan.control} says hardware sets it; why did it not?", Role.WARNING)))
    return Document([head, Facts([*rows, *_return_rows(answer)])])


def _tlb(repair: DescriptorRepair, tables: str) -> Text:
    """Return what setting the flag needs of TLBs, and why; `tables` is the regime, where it is another's."""
    if repair.flag_need is Need.NOTHING:
        return f"no maintenance: {repair.flag_need_why}"
    asked = f"mmu tlbi --regime {tables}" if tables else "mmu tlbi"
    return Span(f"{repair.flag_need_why}: `{asked}` afterwards", Role.WARNING)


def _settled(answer: Fixup) -> Document:
    """Return that there is nothing to write, and what comes of returning."""
    change, refused = answer.plan.change, answer.plan.refused_next
    if answer.plan.spurious:
        permits = Span("The tables permit it by now", Role.GOOD)
        rows: list[tuple[str, Text]] = [
            ("descriptor", f"{change.before.padded}  {word_text(change.before)}"),
            ("at PA", f"{change.pa:#x}, level {answer.plan.level.number}"),
            ("TLB", answer.plan.spurious),
        ]
        return Document([Line([permits, ": nothing written."]), Facts([*rows, *_return_rows(answer)])])
    set_ = Span("The access flag is set already", Role.GOOD)
    head = Line([set_, f" in the level {answer.plan.level.number} descriptor at PA {change.pa:#x}: nothing written."])
    rows = [("descriptor", f"{change.before.padded}  {word_text(change.before)}")]
    if refused is not None:
        rows.append(("next", f"{fault_called(refused.fault, answer.architecture)}: {refused.decider.cause.sentence}"))
    return Document([head, Facts([*rows, *_return_rows(answer)])])


def _return_rows(answer: Fixup) -> list[tuple[str, Text]]:
    if answer.back is None:
        return []
    verb = "returning" if answer.resumed else "would return"
    if answer.back.through is None:
        return [("return", f"{verb} by setting {_and(list(answer.back.registers))}")]
    name = answer.architecture.gadgets.words.exception_return
    return [("return", f"{verb} through the guest's own {name} at {answer.back.through:#x}")]


def _and(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _dirty(answer: Fixup) -> str:
    """Return what became of the dirty state, and why."""
    plan, kind = answer.plan, answer.plan.access.kind
    if kind is AccessKind.MAINTENANCE:
        return "not touched: cache maintenance writes no memory, although WnR is 1"
    if kind is not AccessKind.WRITE:
        return f"not touched: {kind.label} is not a write"
    if plan.refused_next is not None:
        refused = plan.refused_next
        fault, why = fault_called(refused.fault, answer.architecture), refused.decider.cause.sentence
        return f"not touched: the write is refused next, by a {fault}: {why}"
    if plan.sets_dirty:
        return "recorded, as the architecture has it"
    if plan.convention is DirtyConvention.NONE:
        return "not touched: `set mmu-dirty` is none"
    return f"recorded by the convention {plan.convention.value}"


def record(answer: Fixup) -> JsonObject:
    change = answer.plan.change
    through = None if answer.back is None else answer.back.through
    return {
        "descriptor_address": hexadecimal(change.pa),
        "level": answer.plan.level.number,
        "before": hexadecimal(change.before),
        "after": hexadecimal(change.after),
        "access": name_of(answer.plan.access.kind),
        "dirty_convention": answer.plan.convention.value,
        "hardware_should": answer.plan.hardware_should,
        "refused_next": (
            None if answer.plan.refused_next is None else refusal_record(answer.plan.refused_next, answer.architecture)
        ),
        "applied": answer.applied,
        "return_through": None if through is None else hexadecimal(through),
        "resumed": answer.resumed,
        **belonging_record(answer.belongs),
    }
