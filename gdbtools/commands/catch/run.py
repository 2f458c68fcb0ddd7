"""`catch`: stop on faults of one kind, at the exception vectors, and let everything else run on unseen."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gdbtools.commands.session import Session
from gdbtools.errors import UsageError


@dataclass(frozen=True)
class Caught:
    """What was set: (breakpoint number, address, vector entry) of each; those `in_force` by address."""

    kind: str
    regime: str | None
    places: Sequence[tuple[int, int, str]]
    in_force: Collection[int]
    already: bool = False
    """Whether they were there before, and nothing was set."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be asked of `catch`, as `declared` has it."""

    kind: str
    regime: str | None = None


def run(session: Session, options: Options) -> Sequence[Caught]:
    architecture = session.machine.architecture
    if options.regime not in (None, *architecture.regime_names):
        known = ", ".join(architecture.regime_names)
        raise UsageError(f"{options.regime} is no regime of {architecture.identity.title}; say one of {known}")
    already = session.live.catches(options.kind, options.regime)
    if options.regime is not None:
        places = session.live.catch(options.kind, options.regime)
        return (Caught(options.kind, options.regime, places, frozenset(address for _, address, _ in places), already),)
    in_force = frozenset(architecture.exceptions.vectors(session.machine.register))
    return (Caught(options.kind, None, session.live.catch(options.kind), in_force, already),)
