"""`tlbi`: TLB maintenance by instructions that the guest itself has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.arch.gadgets import Extent, Scope
from gdbtools.commands.session import Session
from gdbtools.errors import UsageError
from gdbtools.repair import tlb
from gdbtools.repair.tlb import Invalidation


@dataclass(frozen=True)
class Invalidated:
    """What was, or would be, invalidated and by what: None says that it is everything, and by QEMU itself."""

    invalidation: Invalidation | None
    applied: bool


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be asked of `tlbi`, as `declared` has it."""

    what: Scope | None = None
    regime: str | None = None
    outside: bool = False
    dry_run: bool = False


def run(session: Session, options: Options) -> Sequence[Invalidated]:
    if options.outside:
        return (_by_qemu(session, options),)
    scope = Scope(Extent.ALL) if options.what is None else options.what
    planned = tlb.plan(session.machine, (scope,), options.regime)
    if not options.dry_run:
        tlb.perform(session.machine, session.live, planned)
    return (Invalidated(planned, not options.dry_run),)


def _by_qemu(session: Session, options: Options) -> Invalidated:
    """Have QEMU do it: no part of a TLB can be told to it."""
    if options.regime is not None or (options.what is not None and options.what.extent is not Extent.ALL):
        raise UsageError("--outside empties every TLB of everything; leave the rest out")
    if not options.dry_run:
        session.live.empty_tlb()
    return Invalidated(None, not options.dry_run)
