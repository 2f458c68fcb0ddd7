"""`trace`: what a service's log says, and the same as a trace for the Perfetto UI."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gdbtools.addresses import VA
from gdbtools.commands.files import written_whole
from gdbtools.commands.hottest import Hottest
from gdbtools.commands.service.fault_log import read_log
from gdbtools.commands.session import Session
from gdbtools.errors import Malformed
from gdbtools.render.json import optional_hexadecimal
from gdbtools.render.perfetto import Slice, perfetto
from gdbtools.repair.service import Logged
from gdbtools.units import PAGE_BYTES

T = TypeVar("T")


MOST_PLACES = 1 << 18
"""How many pages, and places in the code, are told apart: a gigabyte's."""


MOST = 1 << 13
"""How many CPUs with different verdicts there may be: each of 4,096 CPUs has two."""


@dataclass
class Traced:
    """A log, counted: faults, and (CPU, verdict) of each; `perfetto` is the trace that was written, empty if none.

    `hottest` counts faults by what was wanted, by who wanted it, and by the page of 4 KiB that was touched.
    """

    log: str
    faults: int
    around: int
    seconds: float
    by: Counter[tuple[int, str]]
    hottest: Hottest
    perfetto: str

    def count(self, fault: Logged) -> None:
        """Count one fault more; raises `Malformed` for what no service says."""
        self.faults += 1
        self.around += fault.around
        self.seconds = max(self.seconds, fault.time + fault.seconds)
        self.by[fault.cpu, fault.verdict] += 1
        _count(self.hottest.accesses, fault.access or "none")
        _count(self.hottest.pages, VA(fault.va & -PAGE_BYTES))
        _count(self.hottest.code, fault.symbol or f"{fault.pc:#x}")
        if len(self.by) > MOST:
            raise Malformed(f"{self.log} has faults of more than {MOST} CPUs and verdicts, which no service has seen")


def _count(counted: Counter[T], what: T) -> None:
    """Count one more of what is counted; what comes after very many others is none of the hottest."""
    if what in counted or len(counted) < MOST_PLACES:
        counted[what] += 1


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be asked of `trace`, as `declared` has it."""

    file: str
    perfetto: str | None = None


def sourceless(options: Options) -> bool:  # noqa: ARG001
    return True


def run(session: Session, options: Options) -> Sequence[Traced]:  # noqa: ARG001
    path = Path(options.file).expanduser()
    hottest = Hottest(Counter(), Counter(), Counter())
    found = Traced(options.file, 0, 0, 0.0, Counter(), hottest, options.perfetto or "")
    for fault in read_log(path):
        found.count(fault)
    if options.perfetto is not None:
        tracks = {cpu: f"CPU {cpu}" for cpu in sorted({cpu for cpu, _ in found.by})}
        # Read again: a log is as long as somebody's patience, and is never held as a whole.
        with written_whole(Path(options.perfetto).expanduser()) as file:
            for piece in perfetto("gdbtools service", tracks, map(slice_of, read_log(path))):
                file.write(piece.encode())
    return (found,)


def slice_of(fault: Logged) -> Slice:
    """Return a fault as it is drawn: named for the symbol, or for the address where there is none."""
    arguments: dict[str, str | int | None] = {
        "pc": f"{fault.pc:#x}",
        "va": f"{fault.va:#x}",
        "access": fault.access,
        "level": fault.level,
        "verdict": fault.verdict,
        "before": optional_hexadecimal(fault.before),
        "after": optional_hexadecimal(fault.after),
        "around": fault.around,
    }
    name = f"{fault.access} {fault.symbol or format(fault.pc, '#x')}"
    return Slice(fault.cpu, name, fault.verdict, fault.time, fault.seconds, arguments)
