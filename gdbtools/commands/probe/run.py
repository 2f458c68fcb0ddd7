"""`probe`: ask the hardware, by one borrowed instruction, and compare its answer with the tables'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.addresses import VA
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import Access, AccessKind, Privilege
from gdbtools.commands.privileges import check_kind, check_runs_in, privilege_asked
from gdbtools.commands.session import Session
from gdbtools.errors import UsageError
from gdbtools.machine.model import Machine
from gdbtools.repair import probe, tlb
from gdbtools.repair.probe import Ask, ProbePlan, ProbeVerdict

_ACCESSES = {"read": AccessKind.READ, "write": AccessKind.WRITE, "read-code": AccessKind.READ_EXECUTABLE}


@dataclass(frozen=True)
class Probe:
    """What was asked and answered; `again` is the same after the TLB was invalidated, empty if that was not asked."""

    architecture: Architecture
    plan: ProbePlan
    access: Access
    first: Sequence[Ask]
    again: Sequence[Ask]
    lent_here: bool = True
    """Whether the CPU may invalidate where it stands."""

    @property
    def verdict(self) -> ProbeVerdict:
        return self.first[-1].verdict

    @property
    def tried(self) -> bool:
        """Whether what was asked for was tried: a write is not where the read before it was refused."""
        return self.first[-1].access.kind is self.access.kind

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
    regime: str | None = None
    privilege: str | None = None
    by: str | None = None
    unprivileged: bool = False
    tlbi: bool = False
    overwrite: bool = False


def run(session: Session, options: Options) -> Sequence[Probe]:
    machine = session.machine
    if options.by == "at" and options.overwrite:
        asked_by = machine.architecture.gadgets.words.translation
        raise UsageError(f"{asked_by} raises no exception, so there is nothing to --overwrite")
    regime, asking = _whose(machine, options)
    access = Access(_ACCESSES[options.access or "read"], asking, options.unprivileged)
    check_kind(machine.architecture, access)
    planned = probe.plan(
        machine,
        options.address,
        access,
        translation=options.by == "at",
        overwrite=options.overwrite,
        invalidate=options.tlbi,
        regime=regime,
    )
    first = probe.ask(machine, session.live, planned)
    again: Sequence[Ask] = ()
    if planned.invalidation is not None:
        tlb.perform(machine, session.live, planned.invalidation)
        again = probe.ask(machine, session.live, planned)
    return (Probe(machine.architecture, planned, access, first, again, tlb.lent_here(machine)),)


def _whose(machine: Machine, options: Options) -> tuple[str | None, Privilege]:
    """Return the regime that is asked as, None for the CPU's own, and the level of privilege in it."""
    architecture, register = machine.architecture, machine.register
    own = architecture.privilege(register)
    if options.regime is None and options.privilege is None:
        return None, own
    asking, regime = privilege_asked(architecture, options.privilege), options.regime
    if regime is None and asking is not None:
        regime = architecture.exceptions.regime_of(register, asking)
    if regime == tlb.own_regime(machine):
        if asking is not None and asking != own:
            raise UsageError(f"an access here is {own.label}'s; stop in {asking.label} and ask there")
        return None, own
    if options.unprivileged:
        raise UsageError("--unprivileged is of the CPU's own regime; say whose access it is by --privilege")
    used = architecture.regime_for(register, options.address, regime)
    asking = architecture.privileges_of(used)[-1] if asking is None else asking
    check_runs_in(architecture, asking, used)
    return regime, asking


def finding(answer: Probe) -> bool:
    """Return whether an answer is a finding: exit status 1."""
    return answer.verdict is not ProbeVerdict.AGREES
