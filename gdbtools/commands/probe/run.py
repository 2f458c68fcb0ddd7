"""`probe`: ask the hardware, by one borrowed instruction, and compare its answer with the tables'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.addresses import VA
from gdbtools.arch.model import Access, AccessKind
from gdbtools.commands.session import Session
from gdbtools.errors import UsageError
from gdbtools.repair import probe, tlb
from gdbtools.repair.probe import Ask, ProbePlan, ProbeVerdict

_ACCESSES = {"read": AccessKind.READ, "write": AccessKind.WRITE}


@dataclass(frozen=True)
class Probe:
    """What was asked and answered; `again` is the same after the TLB was invalidated, empty if that was not asked."""

    plan: ProbePlan
    access: Access
    first: Sequence[Ask]
    again: Sequence[Ask]

    @property
    def verdict(self) -> ProbeVerdict:
        return self.first[-1].verdict

    @property
    def proved(self) -> bool:
        """Whether the TLB alone was what differed: without it, hardware and tables agree."""
        return (
            self.verdict is not ProbeVerdict.AGREES
            and bool(self.again)
            and self.again[-1].verdict is ProbeVerdict.AGREES
        )


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be asked of `probe`, as `declared` has it."""

    address: VA
    access: str | None = None
    by: str | None = None
    unprivileged: bool = False
    tlbi: bool = False
    overwrite: bool = False


def run(session: Session, options: Options) -> Sequence[Probe]:
    machine = session.machine
    if options.by == "at" and options.overwrite:
        asked_by = machine.architecture.gadgets.words.translation
        raise UsageError(f"{asked_by} raises no exception, so there is nothing to --overwrite")
    own = machine.architecture.privilege(machine.register)
    access = Access(_ACCESSES[options.access or "read"], own, options.unprivileged)
    planned = probe.plan(
        machine,
        options.address,
        access,
        translation=options.by == "at",
        overwrite=options.overwrite,
        invalidate=options.tlbi,
    )
    first = probe.ask(machine, session.live, planned)
    again: Sequence[Ask] = ()
    if planned.invalidation is not None:
        tlb.perform(machine, session.live, planned.invalidation)
        again = probe.ask(machine, session.live, planned)
    return (Probe(planned, access, first, again),)


def finding(answer: Probe) -> bool:
    """Return whether an answer is a finding: exit status 1."""
    return answer.verdict is not ProbeVerdict.AGREES
