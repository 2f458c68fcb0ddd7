"""The verdict in one sentence: what was refused, what the tables say of it, and what is the likeliest reason."""

from __future__ import annotations

from collections.abc import Sequence

from gdbtools.analysis.diagnosis import Aborted, Diagnosis, Verdict
from gdbtools.analysis.suspicion import Suspicion
from gdbtools.arch.model import FaultKind, Mapped
from gdbtools.commands.evidence import WHY, access_name, fault_name, field_value
from gdbtools.commands.suspicion import briefly
from gdbtools.render.document import Role, Span

NOT_THE_TABLES = ": not a matter of the translation tables."


def sentence(diagnosis: Diagnosis, suspected: Sequence[Suspicion] = (), backing: str | None = None) -> list[str | Span]:
    """Say it; `backing` is what answers at `answering_pa`, empty for nothing, None where nobody knows."""
    fault, access, predicted = diagnosis.exception.syndrome.fault, diagnosis.access, diagnosis.predicted
    if fault is None or access is None:
        return [*_untranslated(diagnosis), NOT_THE_TABLES]
    what: list[str | Span] = [
        f"{access_name(access)} of {diagnosis.exception.address:#x}: ",
        Span(fault_name(fault), Role.BAD),
    ]
    if diagnosis.verdict is Verdict.TABLES_AGREE:
        assert predicted is not None, "tables that agree refuse"
        return [*what, f", and the tables agree: {WHY[predicted.decider.cause]}."]
    if diagnosis.verdict is Verdict.TABLES_PERMIT:
        likeliest = f": {briefly(suspected[0])}" if suspected else ""
        return [*what, ", but ", Span("the tables permit it now", Role.WARNING), f"{likeliest}."]
    if diagnosis.verdict is Verdict.LEFT_TO_HARDWARE:
        return [*what, ", but ", Span("the tables leave the access flag to hardware", Role.WARNING), "."]
    if diagnosis.verdict is Verdict.TABLES_DIFFER:
        assert predicted is not None, "tables that differ refuse"
        other = Span(f"the tables say {fault_name(predicted.fault)}", Role.WARNING)
        return [*what, ", but ", other, f": {WHY[predicted.decider.cause]}."]
    if diagnosis.verdict is Verdict.NOT_REPLAYED:
        which = ", ".join(field_value(each) for each in diagnosis.exception.syndrome.other_rules)
        return [*what, f", by a rule that is not replayed here: {which}."]
    if diagnosis.aborted is not None:
        return [*what, f" on the table walk: {_abort_text(diagnosis.aborted, backing)}."]
    pa = answering_pa(diagnosis)
    if pa is None or backing is None:
        return [*what, NOT_THE_TABLES]
    answers = f"{backing} is" if backing else "nothing answers"
    return [*what, f"{NOT_THE_TABLES[:-1]}: {answers} at PA {pa:#x}, where they lead."]


def answering_pa(diagnosis: Diagnosis) -> int | None:
    """Give the physical address at which memory or a device aborted: a descriptor's, or that of the access itself."""
    fault = diagnosis.exception.syndrome.fault
    if diagnosis.aborted is not None:
        return diagnosis.aborted.pa
    if fault is None or fault.kind is not FaultKind.EXTERNAL_ABORT or diagnosis.walk is None:
        return None
    outcome = diagnosis.walk.outcome
    return outcome.address if isinstance(outcome, Mapped) else None


def _abort_text(aborted: Aborted, backing: str | None) -> str:
    if aborted.pa is None:
        return f"the tables have no level {aborted.level} descriptor for it now"
    where = f"PA {aborted.pa:#x}, where the level {aborted.level} descriptor would be"
    if backing is None:
        return f"memory {'answers now' if aborted.readable else 'does not answer'} at {where}"
    return f"{backing} is at {where}" if backing else f"nothing answers at {where}"


def _untranslated(diagnosis: Diagnosis) -> list[str | Span]:
    """Say what happened where no address was translated: who did what, and what kept it from being done."""
    exception, syndrome = diagnosis.exception, diagnosis.exception.syndrome
    said: list[str | Span] = ["" if exception.el is None else f"EL{exception.el} "]
    said += [Span(syndrome.instruction or syndrome.name, Role.HEADING)]
    if syndrome.fault is not None:
        said += [": ", Span(fault_name(syndrome.fault), Role.BAD)]
        said += [] if syndrome.address_valid else [f", FAR_EL{exception.target} is not valid"]
    if diagnosis.traps:
        which = ", ".join(f"{register}.{field_value(control)}" for register, control in diagnosis.traps)
        said.append(f": trapped to EL{exception.target} by {which}")
    elif syndrome.instruction and syndrome.instruction.split()[0] not in syndrome.name:
        said.append(f": {syndrome.name}")
    return [*said, f" ({diagnosis.convention})"] if diagnosis.convention else said
