"""The verdict in one sentence: what was refused, what the tables say of it, and what is the likeliest reason."""

from __future__ import annotations

from collections.abc import Sequence

from gdbtools import systems
from gdbtools.addresses import PA
from gdbtools.analysis.faults.diagnosis import Aborted, Diagnosis, Verdict
from gdbtools.analysis.faults.spurious_model import Suspicion
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import FaultKind, Mapped
from gdbtools.commands.evidence import access_name, fault_called, field_value, none_taken
from gdbtools.commands.fault.suspicion import briefly
from gdbtools.render.document import Role, Span

NOT_THE_TABLES = ": not a matter of the translation tables."


LAST = "last exception: "
"""What a headline begins with where nothing shows that the exception is the current one."""


def sentence(
    diagnosis: Diagnosis,
    architecture: Architecture,
    suspected: Sequence[Suspicion] = (),
    backing: str | None = None,
    there: str = "",
) -> list[str | Span]:
    """Return the headline: what happened, whether it is what happened last, and what the tables say of it.

    `backing` is what answers at `answering_pa`, empty for nothing, None where nobody knows.  `there` is what the guest
    has where its second stage refuses, as `at_address` words it.
    """
    if diagnosis.verdict is Verdict.NONE_TAKEN:
        return none_taken(systems.untaken(architecture, diagnosis.exception))
    if diagnosis.verdict is Verdict.INTERRUPT:
        return _interrupted(diagnosis)
    if diagnosis.verdict is Verdict.NOT_ONE_EXCEPTION:
        return [*([] if diagnosis.belongs.newer_address else [LAST]), *_apart(diagnosis, architecture)]
    said = _of_one_exception(diagnosis, architecture, suspected, backing, there)
    return [LAST, *said] if diagnosis.belongs.last else said


def _interrupted(diagnosis: Diagnosis) -> list[str | Span]:
    exception, own = diagnosis.exception, diagnosis.exception.syndrome.interrupt
    said: list[str | Span] = [LAST] if own and diagnosis.belongs.last else [] if own else ["interrupt: "]
    said += [Span(exception.syndrome.name if own else diagnosis.belongs.interrupt, Role.HEADING), " taken"]
    said += [] if exception.origin is None else [f" from {exception.origin.label}"]
    said += [] if exception.return_address is None else [f", before {exception.return_address:#x}"]
    return [*said, "." if own else "; it has no syndrome."]


def _apart(diagnosis: Diagnosis, architecture: Architecture) -> list[str | Span]:
    """Return what the syndrome is of, and that the state beside it is not."""
    exception, syndrome = diagnosis.exception, diagnosis.exception.syndrome
    said: list[str | Span] = [Span(syndrome.named_instruction or syndrome.name, Role.HEADING)]
    if syndrome.fault is not None:
        said = [f"{syndrome.access_kind.label} of " if syndrome.access_kind else ""]
        said += [
            f"{exception.address:#x}: " if syndrome.address_valid else "",
            Span(fault_called(syndrome.fault, architecture), Role.BAD),
        ]
    if diagnosis.belongs.overwritten:
        if syndrome.fault is not None:
            kind = f"{syndrome.access_kind.label}: " if syndrome.access_kind else ""
            said = [kind, Span(fault_called(syndrome.fault, architecture), Role.BAD)]
        return [*said, ", but ", Span("its address is not known", Role.WARNING), f": {diagnosis.belongs.reason}."]
    names = exception.names
    other = Span(f"{names.return_address} and {names.state} are not of it", Role.WARNING)
    return [*said, ", but ", other, f": {diagnosis.belongs.reason}."]


def _of_one_exception(
    diagnosis: Diagnosis, architecture: Architecture, suspected: Sequence[Suspicion], backing: str | None, there: str
) -> list[str | Span]:
    fault, access, predicted = diagnosis.exception.syndrome.fault, diagnosis.access, diagnosis.predicted
    if fault is None or access is None:
        return [*_untranslated(diagnosis, architecture), NOT_THE_TABLES]
    what: list[str | Span] = [
        f"{access_name(access)} of {diagnosis.exception.address:#x}: ",
        Span(fault_called(fault, architecture), Role.BAD),
    ]
    if diagnosis.verdict is Verdict.TABLES_AGREE:
        assert predicted is not None, "tables that agree refuse"
        if predicted.fault.kind is FaultKind.ACCESS and diagnosis.walk is not None and diagnosis.walk.refused:
            what.append(" on the table walk")
        who = "memory's protection agrees" if predicted.fault.kind is FaultKind.ACCESS else "the tables agree"
        return [*what, f", and {who}: {predicted.decider.cause.sentence}{there}."]
    if diagnosis.verdict is Verdict.TABLES_PERMIT:
        words = architecture.exceptions.words_for(diagnosis.exception)
        likeliest = f": {briefly(suspected, words)}" if suspected else ""
        return [*what, ", but ", Span("the tables permit it now", Role.WARNING), f"{likeliest}."]
    if diagnosis.verdict is Verdict.LEFT_TO_HARDWARE:
        return [*what, ", but ", Span("the tables leave the access flag to hardware", Role.WARNING), "."]
    if diagnosis.verdict is Verdict.TABLES_DIFFER:
        assert predicted is not None, "tables that differ refuse"
        other = Span(f"the tables say {fault_called(predicted.fault, architecture)}", Role.WARNING)
        return [*what, ", but ", other, f": {predicted.decider.cause.sentence}."]
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


def ipa_label(diagnosis: Diagnosis) -> str:
    """Return what the input addresses of the second stage are called."""
    below = diagnosis.walk.regime.below if diagnosis.walk is not None else None
    return below.input_label if below is not None else "IPA"


def answering_pa(diagnosis: Diagnosis) -> PA | None:
    """Return the physical address at which memory or a device aborted: a descriptor's, or that of the access itself."""
    fault = diagnosis.exception.syndrome.fault
    if diagnosis.aborted is not None:
        return diagnosis.aborted.pa
    aborts = fault is not None and fault.kind in (FaultKind.EXTERNAL_ABORT, FaultKind.ACCESS)
    if not aborts or diagnosis.verdict is not Verdict.ACCESS_ABORTED or diagnosis.walk is None:
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


def _untranslated(diagnosis: Diagnosis, architecture: Architecture) -> list[str | Span]:
    """Return what happened where no address was translated: who did what, and what kept it from being done."""
    exception, syndrome = diagnosis.exception, diagnosis.exception.syndrome
    said: list[str | Span] = ["" if exception.origin is None else f"{exception.origin.label} "]
    said += [Span(syndrome.named_instruction or syndrome.name, Role.HEADING)]
    if syndrome.fault is not None:
        said += [": ", Span(fault_called(syndrome.fault, architecture), Role.BAD)]
        said += [] if syndrome.address_valid else [f", {exception.names.address} is not valid"]
    if diagnosis.traps:
        which = ", ".join(f"{register}.{field_value(control)}" for register, control in diagnosis.traps)
        said.append(f": trapped to {exception.target.label} by {which}")
    elif syndrome.instruction and syndrome.instruction.split()[0] not in syndrome.name:
        said.append(f": {syndrome.name}")
    return [*said, f" ({diagnosis.convention})"] if diagnosis.convention else said
