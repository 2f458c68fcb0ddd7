"""`walk`: every descriptor on the way of an address, and where it leads or why it does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.addresses import VA, Input
from gdbtools.analysis.contiguity import Contiguity, contiguity
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.isolation import Isolation
from gdbtools.arch.model import Access, AccessKind, Privilege, Refusal, Regime, Walk
from gdbtools.arch.walk import walk
from gdbtools.commands.privileges import check_runs_in, privilege_asked
from gdbtools.commands.session import Session
from gdbtools.commands.spaces import CURRENT, KERNEL
from gdbtools.commands.what_if import Supposition, WhatIf, suppose
from gdbtools.errors import UsageError
from gdbtools.machine.model import Machine

_ACCESSES = {"read": AccessKind.READ, "write": AccessKind.WRITE, "execute": AccessKind.EXECUTE}


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


@dataclass(frozen=True, kw_only=True)
class Options(WhatIf):
    """What may be asked of `walk`, as `declared` has it."""

    address: Sequence[Input]
    access: str | None = None
    privilege: str | None = None
    el: str | None = None
    unprivileged: bool = False
    regime: str | None = None
    space: str | None = None


def run(session: Session, options: Options) -> Sequence[Translation]:
    supposed = suppose(session.machine, options, options.regime, options.space)
    machine, spaces = supposed.machine, supposed.spaces
    space = CURRENT if machine is spaces.machine else KERNEL
    architecture, register, read = machine.architecture, machine.register, machine.memory.read
    asked = privilege_asked(architecture, options.privilege, options.el)
    wanted = bool(options.access or asked is not None or options.unprivileged)
    if options.unprivileged and options.access == "execute":
        raise UsageError("--unprivileged asks for a load or a store, and --access execute for neither; leave one out")
    answers: list[Translation] = []
    for address in options.address:
        # Registers before memory: a live source switches modes between the two.
        regime = architecture.regime_for(register, address, options.regime)
        access = _access(machine, regime, options, asked) if wanted else None
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
                machine.symbol(VA(address)) if regime.stage == 1 else "",
            )
        )
    return answers


def _access(machine: Machine, regime: Regime, options: Options, asked: Privilege | None) -> Access:
    """Return the access that is asked about: by the level that was named, the CPU's own, or the regime's highest."""
    kind = _ACCESSES[options.access or "read"]
    levels = machine.architecture.privileges_of(regime)
    if asked is not None:
        check_runs_in(machine.architecture, asked, regime, by_number=options.el is not None)
    else:
        own = machine.architecture.privilege(machine.register)
        asked = own if own in levels else levels[-1]
    return Access(kind, asked, options.unprivileged)


def finding(answer: Translation) -> bool:
    """Return whether an answer is a finding: exit status 1."""
    return answer.refused is not None
