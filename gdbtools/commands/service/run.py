"""`service`: repair access-flag faults and return, again and again, until something else happens."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from gdbtools.commands.hardware_flags import can_be_asked, hardware_sets
from gdbtools.commands.service.fault_log import FaultLog
from gdbtools.commands.session import Session
from gdbtools.errors import Refused, UsageError
from gdbtools.repair.service import Policy, Service, Summary

MOST_AROUND = 512
"""More neighbours than the tables of the smallest granule have."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be asked of `service`, as `declared` has it."""

    kinds: Sequence[str] = ()
    count: int | None = None
    around: int | None = None
    log: str | None = None


def run(session: Session, options: Options) -> Sequence[Summary]:
    if options.count is not None and options.count < 1:
        raise UsageError("--count takes a number of faults from 1 on")
    if options.around is not None and not 1 <= options.around <= MOST_AROUND:
        raise UsageError(f"--around takes a number of neighbours from 1 to {MOST_AROUND}")
    # What cannot repair says so before the guest runs.
    architecture = session.machine.architecture
    never, _ = architecture.repair.flags_never_fault, architecture.gadgets
    if never:
        raise Refused(f"there is nothing to serve: {never}, so that nobody faults for want of them")
    opened = FaultLog(Path(options.log)) if options.log else nullcontext()
    with opened as log, session.written.going_on("service") as written:
        policy = Policy(tuple(options.kinds) or Policy.kinds, options.count, options.around or 0)
        service = Service(
            policy, session.dirty, written, None if log is None else log.write, lambda pc: session.live.symbol(pc)
        )
        if "access-flag" in service.summary.kinds:
            service.summary.by_hardware = hardware_sets(session.machine)
            service.summary.can_be_asked = "" if service.summary.by_hardware else can_be_asked(session.machine)
        if controls := service.summary.by_hardware:
            never = "so that nothing may ever fault for one; Ctrl-C ends the service"
            session.live.announce(f"hardware sets access flags here ({controls}), {never}")
        ended = session.live.serve(service.handle)
    service.summary.seconds = time.monotonic() - service.started
    service.summary.ended = service.summary.ended or ended
    return (service.summary,)
