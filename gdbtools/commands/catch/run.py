"""`catch`: stop on faults of one kind, at the exception vectors, and let everything else run on unseen."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gdbtools.addresses import VA
from gdbtools.arch.capabilities import Architecture
from gdbtools.commands.privileges import privilege_asked
from gdbtools.commands.session import Session
from gdbtools.errors import UsageError
from gdbtools.machine.model import CaughtFaults


@dataclass(frozen=True)
class Caught:
    """What was set: (breakpoint number, address, vector entry) of each; those `in_force` by address."""

    wanted: CaughtFaults
    places: Sequence[tuple[int, int, str]]
    in_force: Collection[int]
    already: bool = False
    """Whether they were there before, and nothing was set."""
    said: str = ""
    """What is caught, in words."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be asked of `catch`, as `declared` has it."""

    kind: str
    regime: str | None = None
    access: str | None = None
    privilege: str | None = None
    handler: VA | None = None


def run(session: Session, options: Options) -> Sequence[Caught]:
    architecture = session.machine.architecture
    wanted = _wanted(architecture, options)
    if options.handler is not None:
        if not architecture.exceptions.handler_register:
            base = architecture.exceptions.vector_base(session.machine.register)
            raise UsageError(f"{base} says where faults are handled; leave --handler out")
        session.live.handled_at(options.handler)
    said = wanted.said(architecture.exceptions.named)
    already = session.live.catches(wanted)
    places = session.live.catch(wanted)
    if wanted.regime is not None or wanted.kind in architecture.exceptions.named:
        return (Caught(wanted, places, frozenset(address for _, address, _ in places), already, said),)
    in_force = frozenset(architecture.exceptions.vectors(session.live.machine().register))
    return (Caught(wanted, places, in_force, already, said),)


def _wanted(architecture: Architecture, options: Options) -> CaughtFaults:
    """Return what is asked for; raise `UsageError` for what the architecture does not have."""
    title, exceptions = architecture.identity.title, architecture.exceptions
    if options.regime not in (None, *architecture.regime_names):
        known = ", ".join(architecture.regime_names)
        raise UsageError(f"{options.regime} is no regime of {title}; say one of {known}")
    known_kinds = (*exceptions.caught, "any", *exceptions.named)
    if options.kind not in known_kinds:
        raise UsageError(f"{title} has no {options.kind} faults; say one of {', '.join(known_kinds)}")
    regime_counts = options.kind not in exceptions.named or exceptions.named_by_regime
    if options.kind in exceptions.named and (options.access or not (regime_counts or options.regime is None)):
        left = "--access" if exceptions.named_by_regime else "--access and --regime"
        raise UsageError(f"{options.kind} is no fault of an access that is told; leave {left} out")
    asked = privilege_asked(architecture, options.privilege)
    regime = options.regime or exceptions.named_regimes.get(options.kind)
    return CaughtFaults(options.kind, regime, options.access, None if asked is None else asked.label)
