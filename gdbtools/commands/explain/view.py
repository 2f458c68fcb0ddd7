"""How the answers of `explain` look, and what is recorded of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from gdbtools.analysis.crashes.instruction import PrintedInstruction
from gdbtools.analysis.crashes.model import CrashCause, Strength
from gdbtools.arch.model import AccessKind
from gdbtools.commands.evidence import ASSUMED
from gdbtools.commands.explain.forms import github
from gdbtools.commands.explain.run import Answer, Counted, Explained, NoCrash
from gdbtools.commands.fault import view as fault
from gdbtools.commands.syndrome import view as syndrome
from gdbtools.commands.syndrome.run import Decoded
from gdbtools.machine.dumps.crash_text import MOST
from gdbtools.render.document import Block, Document, Facts, Line, Role, Span, Table, Text, labelled
from gdbtools.render.json import JsonObject, hexadecimal
from gdbtools.wording import name_of, number_of


def view(answer: Answer) -> Document:
    if isinstance(answer, NoCrash):
        return Document([Line(["no crash found in ", number_of(answer.lines, "line")])])
    if isinstance(answer, Counted):
        return _counted(answer)
    crash = answer.crash
    blocks: list[Block] = [Line([f"line {crash.line}, {crash.system}: ", Span(crash.title, Role.HEADING)])]
    rows: list[tuple[str, Text]] = []
    if answer.fault is not None:
        blocks += fault.view(answer.fault).blocks
    elif crash.exception:
        blocks.append(Line(crash.exception))
    elif answer.syndrome is not None:
        blocks.append(Line(syndrome.with_reason(answer.syndrome.syndrome)))
    blocks, supposed = _without_assumed(blocks)
    if answer.syndrome is not None:
        rows += _address(answer.syndrome)
    if crash.unread:
        rows.append(("not read", crash.unread))
    rows += labelled("cause", [_cause(each) for each in answer.causes])
    if crash.where:
        rows.append(("code", crash.where))
    rows += [("instruction", _instruction(answer.instruction))] if answer.instruction else []
    rows += labelled("repeats", crash.repeats)
    rows += crash.told
    rows += labelled("contradicts", [Span(doubt, Role.WARNING) for doubt in _doubts(answer)])
    if not crash.unread:
        rows += labelled("torn", [f"line {each.line}: {each.text}" for each in crash.torn])
    rows += labelled("ask for", crash.wanted)
    if answer.syndrome is not None and not (crash.wanted or crash.doubts):
        rows.append(("no verdict", answer.why))
    rows += labelled("symbols", [answer.symbols] if answer.symbols else [])
    rows += labelled(ASSUMED, [*supposed, *(each.text for each in crash.deduced.assumed)])
    if answer.last:
        rows.append(("unread", f"the text behind the first {MOST} crashes; cut it there to go on"))
    return Document([*blocks, Facts(rows)] if rows else blocks)


def _doubts(answer: Explained) -> Sequence[str]:
    by_instruction = answer.instruction.doubt if answer.instruction else ""
    return [*answer.crash.doubts, *([by_instruction] if by_instruction else [])]


def _cause(cause: CrashCause) -> Text:
    perhaps = "perhaps " if cause.strength is Strength.POSSIBLE else ""
    return "; ".join([f"{perhaps}{cause.what}", *cause.evidence])


def _instruction(printed: PrintedInstruction) -> str:
    access = printed.access
    does = " or ".join(f"{kind.label}s" for kind in AccessKind if kind in access.kinds)
    where = "" if access.address is None else f" {access.address:#x}"
    return f"{access.text}: {does or 'accesses'}{where or ' memory'}"


def _without_assumed(blocks: Sequence[Block]) -> tuple[list[Block], list[Text]]:
    """Return what is shown of a fault, and what its walk assumes: that stands with what the log leaves out."""
    kept: list[Block] = []
    assumed: list[Text] = []
    for block in blocks:
        if not isinstance(block, Facts):
            kept.append(block)
            continue
        rows: list[tuple[str, Text]] = []
        of = ""
        for label, text in block.rows:
            of = label or of
            if of == ASSUMED:
                assumed.append(text)
            else:
                rows.append((label, text))
        kept += [Facts(rows)] if rows else []
    return kept, assumed


def _address(decoded: Decoded) -> list[tuple[str, Text]]:
    """Return the row of the address that was accessed, where its register is known to have it."""
    taken = decoded.exception
    if taken is None or decoded.syndrome.fault is None or not decoded.syndrome.address_valid:
        return []
    return [("address", f"{taken.names.address} {taken.address:#x}")]


def _counted(answer: Counted) -> Document:
    total = number_of(sum(answer.counted.values()), "exception")
    rows = [(cpu or "-", f"{count:,}", name) for (cpu, name), count in _by_count(answer)]
    table = Table(("CPU", "count", "exception"), rows, frozenset((0, 1)))
    return Document([Line([f"QEMU logged {total} of {answer.whose}."]), table])


def _by_count(answer: Counted) -> Sequence[tuple[tuple[str, str], int]]:
    """Return the kinds of each CPU, the most frequent first."""
    return sorted(answer.counted.items(), key=lambda each: (len(each[0][0]), each[0][0], -each[1], each[0][1]))


def record(answer: Answer) -> JsonObject:
    if isinstance(answer, NoCrash):
        return {"crash": None, "lines": answer.lines}
    if isinstance(answer, Counted):
        counted = [{"cpu": cpu or None, "exception": name, "count": count} for (cpu, name), count in _by_count(answer)]
        return {"crash": None, "lines": answer.lines, "whose": answer.whose, "exceptions": counted}
    crash = answer.crash
    return {
        "crash": {
            "line": crash.line,
            "system": crash.system,
            "title": crash.title,
            "code": crash.where or None,
            "stated": _named(crash.stated),
            "deduced": _named(crash.deduced.values),
            "descriptors": [
                {"pa": hexadecimal(pa), "value": hexadecimal(value)} for pa, value in crash.descriptors.items()
            ],
            "repeats": list(crash.repeats),
            "told": [{"of": what, "says": said} for what, said in crash.told],
            "assumed": [each.text for each in crash.deduced.assumed],
            "contradictions": list(_doubts(answer)),
            "wanted": list(crash.wanted),
            "exception": crash.exception or None,
            "unread": crash.unread or None,
            "torn": [{"line": each.line, "text": each.text} for each in crash.torn],
        },
        "fault": None if answer.fault is None else fault.record(answer.fault),
        "syndrome": None if answer.syndrome is None else syndrome.record(answer.syndrome),
        "why": answer.why or None,
        "symbols": answer.symbols or None,
        "instruction": None if answer.instruction is None else _instruction(answer.instruction),
        "causes": [
            {"what": each.what, "strength": name_of(each.strength), "evidence": list(each.evidence)}
            for each in answer.causes
        ],
    }


def _named(values: Mapping[str, int]) -> list[JsonObject]:
    return [{"name": name, "value": hexadecimal(value)} for name, value in values.items()]


FORMS: Final = {"github": github}
