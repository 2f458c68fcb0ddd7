"""`walk`: every descriptor on the way of an address, and where it leads or why it does not."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.analysis.contiguity import Breach, Contiguity, contiguity
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.isolation import Isolation
from gdbtools.arch.model import Access, AccessKind, Mapped, Refusal, Regime, Walk
from gdbtools.arch.walk import walk
from gdbtools.commands.evidence import access_name, fault_name, reason_text, refusal_record, walk_record
from gdbtools.commands.model import Implementation
from gdbtools.commands.pictures import illustrated
from gdbtools.commands.session import Session
from gdbtools.commands.spaces import CURRENT, KERNEL, isolation_record, space_rows
from gdbtools.commands.what_if import (
    Supposition,
    suppose,
    supposition_records,
    supposition_rows,
)
from gdbtools.errors import UsageError
from gdbtools.machine.model import Machine
from gdbtools.render.document import Document, Facts, Line, Role, Span, Text
from gdbtools.render.json import JsonObject, hexadecimal, optional_hexadecimal
from gdbtools.wording import name_of, size

_ACCESSES = {"read": AccessKind.READ, "write": AccessKind.WRITE, "execute": AccessKind.EXECUTE}
_BREACHES = {
    Breach.NOT_CONTIGUOUS: "a member does not say it is one",
    Breach.OUTPUT: "a member leads elsewhere",
    Breach.ATTRIBUTES: "a member has other attributes",
    Breach.MISALIGNED: "its output is not aligned to its size",
    Breach.UNREADABLE: "not all of it can be read",
}


@dataclass(frozen=True)
class Translation:
    """One address walked and, if an access was asked about, checked: `refused` is the walk's or the check's.

    `may_refuse` is why a CPU may refuse it all the same.
    """

    walk: Walk
    architecture: Architecture
    access: Access | None
    refused: Refusal | None
    contiguity: Contiguity | None
    suppositions: tuple[Supposition, ...]
    isolation: Isolation | None = None
    """Set where the address lies in a range that is a reduced one."""
    space: str = CURRENT
    may_refuse: Refusal | None = None
    symbol: str = ""
    """What is at the address, by name; empty where that is not known."""


def run(session: Session, options: Namespace) -> Sequence[Translation]:
    supposed = suppose(session.machine, options, options.regime)
    machine, spaces = supposed.machine, supposed.spaces
    space = CURRENT if machine is spaces.machine else KERNEL
    architecture, register, read = machine.architecture, machine.register, machine.memory.read
    wanted = bool(options.access or options.el is not None or options.unprivileged)
    answers: list[Translation] = []
    for address in options.address:
        # Registers before memory: a live source switches modes between the two.
        regime = architecture.regime_for(register, address, options.regime)
        access = _access(machine, regime, options) if wanted else None
        state = architecture.state(register) if access else 0
        found = walk(regime, address, read)
        refused = found.refused if access is None else architecture.check(found, access, state)
        run = contiguity(found, read)
        isolation = spaces.isolation if spaces.hides(address) else None
        perhaps = None if access is None or refused is not None else architecture.may_refuse(found, access)
        answers.append(
            Translation(
                found,
                architecture,
                access,
                refused,
                run,
                supposed.suppositions,
                isolation,
                space,
                perhaps,
                machine.symbol(address),
            )
        )
    return answers


def _access(machine: Machine, regime: Regime, options: Namespace) -> Access:
    """Return the access that is asked about: by the level that was named, the CPU's own, or the regime's highest."""
    kind = _ACCESSES[options.access or "read"]
    levels = machine.architecture.privileges_of(regime)
    if options.el is not None:
        asked = machine.architecture.privileges[int(options.el)]
        if asked not in levels:
            raise UsageError(f"{asked.label} does not run in {regime.name}; say --el {' or '.join(map(str, levels))}")
    else:
        own = machine.architecture.privilege(machine.register)
        asked = own if own in levels else levels[-1]
    return Access(kind, asked, options.unprivileged)


def view(answer: Translation) -> Document:
    found = answer.walk
    rows = [*supposition_rows(answer.suppositions), *_contiguity_rows(answer.contiguity)]
    rows += space_rows(answer.isolation, answer.space)
    if answer.may_refuse is not None:
        fault = fault_name(answer.may_refuse.fault)
        rows.append(("may be", [Span(f"a {fault}", Role.WARNING), ": ", *reason_text(answer.may_refuse)]))
    notes = [Facts(rows)] if rows else []
    who = f" <{answer.symbol}>" if answer.symbol else ""
    who += f" ({access_name(answer.access)})" if answer.access else ""
    if answer.refused is not None:
        name = fault_name(answer.refused.fault)
        headline = Line([f"{found.input:#x}{who}: ", Span(name, Role.BAD)])
        return Document([headline, Line(reason_text(answer.refused)), *notes, *illustrated(found, answer.refused)])
    outcome = found.outcome
    assert isinstance(outcome, Mapped), "a walk that nothing refuses leads somewhere"
    allowed = f"{access_name(answer.access)} allowed, " if answer.access else ""
    leaf = f"{size(outcome.size_bytes)} {found.leaf.entry.kind.label}" if found.leaf else _off(found)
    target = Span(f"{outcome.address:#x}", Role.GOOD)
    symbol = f" <{answer.symbol}>" if answer.symbol else ""
    through = f"IPA {found.destination.address:#x} -> " if found.final and found.destination else ""
    return Document(
        [Line([f"{found.input:#x}{symbol} -> {through}", target, f" ({allowed}{leaf})"]), *notes, *illustrated(found)]
    )


def _off(found: Walk) -> str:
    return "stage 2 is off" if found.regime.stage == 2 else "the MMU is off"


def _contiguity_rows(run: Contiguity | None) -> list[tuple[str, Text]]:
    if run is None:
        return []
    what = f"a contiguous run of {size(run.size_bytes)} from {run.first:#x}"
    if run.breach is None:
        return [("part of", f"{what}, uniform")]
    where = f": the descriptor at PA {run.pa:#x}" if run.pa is not None else ""
    return [("part of", Span(f"{what} that is not one: {_BREACHES[run.breach]}{where}", Role.WARNING))]


def record(answer: Translation) -> JsonObject:
    result = walk_record(answer.walk, answer.architecture, answer.refused)
    result["symbol"] = answer.symbol or None
    if answer.access:
        access: JsonObject = {"kind": name_of(answer.access.kind), **answer.access.privilege.record}
        result["access"] = access | {"unprivileged": answer.access.unprivileged}
        perhaps = answer.may_refuse
        result["may_be_refused"] = None if perhaps is None else refusal_record(perhaps, answer.architecture)
    if answer.contiguity:
        run = answer.contiguity
        result["contiguous_run"] = {
            "first": hexadecimal(run.first),
            "size": run.size_bytes,
            "breach": None if run.breach is None else name_of(run.breach),
            "descriptor_address": optional_hexadecimal(run.pa),
        }
    if answer.isolation is not None:
        result["isolation"] = isolation_record(answer.isolation)
    result["space"] = answer.space
    if answer.suppositions:
        result["supposing"] = supposition_records(answer.suppositions)
    return result


IMPLEMENTATION = Implementation(run=run, view=view, record=record, finding=lambda answer: answer.refused is not None)
