"""How the answers of `probe` look, and what is recorded of them."""

from __future__ import annotations

from collections.abc import Sequence

from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import AccessKind, Mapped
from gdbtools.commands import maintenance
from gdbtools.commands.evidence import access_name, evidence, fault_called, reason_text, word_text
from gdbtools.commands.maintenance import loan_text
from gdbtools.commands.probe.run import Probe
from gdbtools.render.document import Document, Facts, Line, Role, Span, Table, Text
from gdbtools.render.json import JsonObject, hexadecimal, optional_hexadecimal
from gdbtools.repair.probe import Ask, ProbeVerdict
from gdbtools.wording import name_of

_SAID = {
    ProbeVerdict.AGREES: "the hardware does what the tables say",
    ProbeVerdict.STALE: "the hardware does what the tables refuse: a TLB holds what they no longer say",
    ProbeVerdict.STRICTER: "the hardware refuses what the tables allow: a TLB holds what they said before, or they "
    "are not all there is to it",
    ProbeVerdict.ELSEWHERE: "the hardware leads elsewhere than the tables: a TLB holds what they no longer say",
    ProbeVerdict.OTHER_FAULT: "both refuse, for different reasons",
}


def view(answer: Probe) -> Document:
    asks = [*answer.first, *answer.again]
    agrees = answer.verdict is ProbeVerdict.AGREES
    said = "stale TLB entry, proved: after the invalidation they agree" if answer.proved else _SAID[answer.verdict]
    who = f"({access_name(answer.access)}): "
    if not answer.tried:
        who += f"not tried, as the {answer.first[-1].access.kind.label} before it was refused; of that, "
    head = Line([f"{answer.plan.address:#x} {who}", Span(said, Role.GOOD if agrees else Role.BAD), "."])
    rows: list[Sequence[Text]] = [_row(each, "", answer.architecture) for each in answer.first]
    if answer.plan.invalidation is not None:
        rows += [_row(each, f" after {answer.plan.invalidation.name}", answer.architecture) for each in answer.again]
    table = Table(("access", "hardware", "tables"), rows)
    return Document([head, table, Facts(_facts(answer, asks)), *evidence(asks[-1].walk)])


def _row(each: Ask, when: str, architecture: Architecture) -> Sequence[Text]:
    return (each.access.kind.label + when, _hardware(each, architecture), _tables(each, architecture))


def _hardware(each: Ask, architecture: Architecture) -> Text:
    if each.raised is not None:
        what = fault_called(each.fault, architecture) if each.fault else each.raised.syndrome.name
        return Span(what, Role.BAD)
    if each.fault is not None:
        return Span(fault_called(each.fault, architecture), Role.BAD)
    if each.found is not None:
        return Span(f"-> {each.found:#x}", Role.GOOD)
    return Span("done" if each.value is None else f"done, got {each.value:#x}", Role.GOOD)


def _tables(each: Ask, architecture: Architecture) -> Text:
    if each.refused is not None:
        return Span(fault_called(each.refused.fault, architecture), Role.BAD)
    outcome = each.walk.outcome
    where = f" -> {outcome.address:#x}" if isinstance(outcome, Mapped) else ""
    return Span("allowed" + where + ("" if each.expected is None else f", {each.expected:#x} there"), Role.GOOD)


def _facts(answer: Probe, asks: Sequence[Ask]) -> list[tuple[str, Text]]:
    rows: list[tuple[str, Text]] = []
    if asks[-1].refused is not None:
        rows.append(("because", reason_text(asks[-1].refused)))
    rows += _borrowed_rows(answer)
    for each in asks:
        if each.updated is not None:
            before, after = (word_text(word) for word in each.updated)
            rows.append(("updated", f"the hardware wrote the descriptor: {before}; now {after}"))
    lost = next((each.lost for each in asks if each.lost is not None), None)
    raised = next((each.raised for each in reversed(asks) if each.raised is not None), None)
    if raised is not None:
        lent = sorted({each for each in answer.plan.returns.values() if each is not None})
        through = ", ".join(f"{each:#x}" for each in lent)
        by = f"by the guest's own exception return at {through}" if lent else "by setting what the exception had set"
        names = raised.names
        syndrome = f"{names.syndrome} {int(raised.syndrome.word):#x}, {names.address} {raised.address:#x}"
        rows.append(("syndrome", syndrome))
        left = {name: (was, now) for each in asks for name, was, now in each.left}
        but = f" but {', '.join(left)}" if left else "" if answer.plan.kept else ", but"
        rows.append(("unwound", f"{by}; every register is as it was{but}"))
        for name, (was, now) in left.items():
            said = f"{name} was {was:#x} and is {now:#x}: this stub does not write it"
            rows.append(("overwritten", Span(said, Role.WARNING)))
        older = "" if lost is None else f" (they were {int(lost.syndrome.word):#x}, {lost.address:#x}, "
        older += "" if lost is None else f"{lost.return_address:#x}, {lost.state:#x})"
        kept = f"{names.syndrome}, {names.address}, {names.return_address} and {names.state}"
        if not answer.plan.kept:
            rows.append(("overwritten", Span(f"{kept}{older}", Role.WARNING)))
    if answer.plan.translation:
        rows.append(("overwritten", Span(answer.plan.answered_in, Role.WARNING)))
    if not answer.plan.translation and any(each.access.kind is AccessKind.WRITE and each.done for each in asks):
        rows.append(("stored", "what the load before it had got"))
    if answer.verdict is not ProbeVerdict.AGREES and not answer.again:
        same = f"mmu probe {answer.plan.address:#x}{_as_whom(answer)}"
        rows.append(("next", f"{same} --tlbi" if answer.lent_here else f"{maintenance.OUTSIDE}, and once more: {same}"))
    return rows


def _as_whom(answer: Probe) -> str:
    """Return how the same access is asked for again."""
    named = {AccessKind.WRITE: " --access write", AccessKind.READ_EXECUTABLE: " --access read-code"}
    kind = named.get(answer.access.kind, "")
    if answer.plan.regime is None:
        by = " --by at" if answer.plan.translation else ""
        return f"{kind}{by}{' --unprivileged' if answer.access.unprivileged else ''}"
    privilege = answer.access.privilege.label.lower()
    return f" --regime {answer.plan.regime} --privilege {privilege}{kind}"


def _borrowed_rows(answer: Probe) -> list[tuple[str, Text]]:
    """Show which of the guest's instructions were stepped, each once, in order."""
    loans = [each.loan for each in answer.first]
    loans += [] if answer.plan.invalidation is None else answer.plan.invalidation.invalidations
    shown = dict.fromkeys(map(loan_text, loans))
    return [("" if number else "borrowed", text) for number, text in enumerate(shown)]


def record(answer: Probe) -> JsonObject:
    return {
        "input": hexadecimal(answer.plan.address),
        "access": {"kind": name_of(answer.access.kind), **answer.access.privilege.record}
        | {"unprivileged": answer.access.unprivileged},
        "verdict": name_of(answer.verdict),
        **({} if answer.tried else {"tried": False}),
        "proved": answer.proved,
        "first": [_ask_record(each) for each in answer.first],
        "invalidation": maintenance.invalidation_record(answer.plan.invalidation),
        "again": [_ask_record(each) for each in answer.again],
        **({} if answer.plan.regime is None else {"regime": answer.plan.regime}),
    }


def _ask_record(each: Ask) -> JsonObject:
    return {
        "access": name_of(each.access.kind),
        "borrowed": maintenance.loan_record(each.loan),
        "done": each.done,
        "fault": None if each.fault is None else {"kind": each.fault.kind.label, "level": each.fault.level},
        "syndrome": None if each.raised is None else hexadecimal(each.raised.syndrome.word),
        "value": optional_hexadecimal(each.value),
        "output": optional_hexadecimal(each.found),
        "tables": {
            "fault": None
            if each.refused is None
            else {"kind": each.refused.fault.kind.label, "level": each.refused.fault.level},
            "output": hexadecimal(each.walk.outcome.address) if isinstance(each.walk.outcome, Mapped) else None,
            "value": optional_hexadecimal(each.expected),
        },
        "verdict": name_of(each.verdict),
        **({"left": [_left_record(*left) for left in each.left]} if each.left else {}),
    }


def _left_record(name: str, was: int, now: int) -> JsonObject:
    return {"register": name, "was": hexadecimal(was), "now": hexadecimal(now)}
