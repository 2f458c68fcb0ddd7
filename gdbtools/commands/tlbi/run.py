"""`tlbi`: TLB maintenance by instructions that the guest itself has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.arch.gadgets import Extent, Scope
from gdbtools.commands.session import Session
from gdbtools.repair import tlb
from gdbtools.repair.tlb import Invalidation


@dataclass(frozen=True)
class Invalidated:
    """What was, or would be, invalidated and by what."""

    invalidation: Invalidation
    applied: bool


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be asked of `tlbi`, as `declared` has it."""

    what: Scope | None = None
    regime: str | None = None
    dry_run: bool = False


def run(session: Session, options: Options) -> Sequence[Invalidated]:
    scope = Scope(Extent.ALL) if options.what is None else options.what
    planned = tlb.plan(session.machine, (scope,), options.regime)
    if not options.dry_run:
        tlb.perform(session.machine, session.live, planned)
    return (Invalidated(planned, not options.dry_run),)
