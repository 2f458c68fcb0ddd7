"""How the answers of `status` look, and what is recorded of them."""

from __future__ import annotations

from collections.abc import Sequence

from gdbtools.arch.model import Regime
from gdbtools.commands.guest_frames import guest_evidence, guest_record
from gdbtools.commands.spaces import evidence_rows, isolation_record, limit_rows
from gdbtools.commands.status.run import Status
from gdbtools.render.document import Document, Facts, Line, Role, Span, Table, Text
from gdbtools.render.json import JsonObject, hexadecimal
from gdbtools.wording import size


def view(answer: Status) -> Document:
    headline: list[str | Span] = [Span(answer.architecture, Role.HEADING)]
    if answer.cpus is not None:
        headline.append(f", CPU {answer.current} of {answer.cpus}")
    if answer.level is not None:
        headline.append(f", at {answer.level.label}")
    elif answer.trouble:
        headline.append(", privilege not known")
    if answer.regimes:
        on = any(regime.levels for regime in answer.regimes)
        headline += [", MMU ", Span("on", Role.GOOD) if on else Span("off", Role.WARNING)]
    facts: list[tuple[str, Text]] = [("memory", answer.memory), *answer.abilities]
    if answer.trouble:
        facts.insert(0, ("translation", Span(answer.trouble, Role.WARNING)))
    blocks: list[Line | Table | Facts] = [Line(headline)]
    stages = [*answer.regimes, *(regime.below for regime in answer.regimes[:1] if regime.below)]
    rows = [_row(regime) for regime in stages if regime.levels]
    if answer.isolation is not None:
        full = answer.isolation.full
        rows += [_row(full, "kernel")] if full is not None else []
        facts = [*limit_rows(answer.isolation), *evidence_rows(answer.isolation), *facts]
    facts = [*guest_evidence(answer.guest), *facts]
    facts = [*(("system", f"{title}: {said}") for title, said in answer.systems.items()), *facts]
    if rows:
        pages = next(each.called_pages for each in stages if each.levels)
        blocks.append(Table(("range", "from", "to", pages, "levels", "root at PA"), rows))
    return Document([*blocks, Facts(facts)])


def _row(regime: Regime, name: str = "") -> Sequence[Text]:
    granule = size(regime.levels[-1].size_bytes)
    levels = f"{regime.levels[0].number} to {regime.levels[-1].number}"
    name = name or regime.short_name
    return name, f"{regime.first:#x}", f"{regime.last:#x}", granule, levels, f"{regime.root:#x}"


def record(answer: Status) -> JsonObject:
    return {
        "architecture": answer.architecture,
        "cpus": answer.cpus,
        "cpu": answer.current,
        **answer.privilege,
        "memory": answer.memory,
        "trouble": answer.trouble or None,
        "regimes": [
            {
                "name": regime.name,
                "regime_name": regime.regime_name,
                "first": hexadecimal(regime.first),
                "last": hexadecimal(regime.last),
                "root": hexadecimal(regime.root),
                "levels": [level.number for level in regime.levels],
                "granule": regime.levels[-1].size_bytes if regime.levels else None,
                "assumed": list(regime.assumed),
            }
            for regime in answer.regimes
        ],
        "isolation": isolation_record(answer.isolation),
        "abilities": dict(answer.abilities),
        **({"systems": answer.systems} if answer.systems else {}),
        **({} if answer.guest is None else {"guest_frames": guest_record(answer.guest)}),
    }
