"""`working-set`: what of a range is touched while the guest runs, when, and by which access."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gdbtools.addresses import VA, Input
from gdbtools.analysis.working_set import Sample, heat, touched_runs
from gdbtools.commands.hottest import HOTTEST, Hottest
from gdbtools.commands.session import Session
from gdbtools.errors import UsageError
from gdbtools.repair.sampling import Sampling, SamplingSetting, Wanted

SECONDS = 1.0


@dataclass(frozen=True)
class WorkingSet:
    """What was touched of a range, sample by sample.

    `restored` flags were set again afterwards, with `left` none; None says that the guest was gone with them.
    `accessed` others had been clear before, and are set for an access that was served: they can be undone.
    `ended` says why the guest stopped before its time was up; `symbols` names the code that touched.
    `hottest` counts by the first touches that were seen, and pages by the samples in which they were touched.
    """

    first: int
    size_bytes: int
    interval: float
    setting: SamplingSetting
    asked: bool
    samples: Sequence[Sample]
    restored: int | None
    accessed: int
    left: bool
    ended: str
    symbols: Mapping[VA, str]
    hottest: Hottest


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be asked of `working-set`, as `declared` has it."""

    range: tuple[Input, int]
    interval: float | None = None
    samples: int | None = None
    by: str | None = None
    everywhere: bool = False
    leave: bool = False
    regime: str | None = None


def run(session: Session, options: Options) -> Sequence[WorkingSet]:
    count = 1 if options.samples is None else options.samples
    if count < 1:
        raise UsageError("--samples takes a number of samples from 1 on")
    interval = options.interval or SECONDS
    first, size_bytes = options.range
    wanted = Wanted(first, size_bytes, options.regime, options.by, options.everywhere)
    samples: list[Sample] = []
    interrupted = session.live.interrupted
    with session.written.going_on("working-set") as written:
        sampling = Sampling(session.machine, session.live, session.dirty, wanted, written)
        since = time.monotonic()
        with sampling.kept():
            while len(samples) < count and not sampling.ended and not interrupted():
                samples.append(sampling.sample(interval, since))
        restored = sampling.finish(options.leave)
    ended = "interrupted" if interrupted() and not sampling.ended else sampling.ended
    earliest = [run.earliest for apart in (True, False) for run in touched_runs(samples, apart)]
    symbols = {touch.pc: session.live.symbol(touch.pc) for touch in earliest if touch is not None}
    return (
        WorkingSet(
            first, size_bytes, interval, sampling.setting, options.by is not None, samples, restored, sampling.accessed,
            options.leave, ended, symbols, _hottest(samples, session.live.symbol),
        ),
    )  # fmt: skip


def _hottest(samples: Sequence[Sample], symbol: Callable[[VA], str]) -> Hottest:
    """Return what was touched most often, and who did it; only of that the symbols are asked for."""
    touches = [touch for sample in samples for touch in sample.touched.values() if touch is not None]
    code = Counter(touch.pc for touch in touches).most_common(HOTTEST)
    times = heat(samples)
    pages = Counter({leaf.first: times[leaf] for leaf in sorted(times, key=lambda leaf: leaf.first)})
    return Hottest(
        Counter(f"{touch.access.privilege.label} {touch.access.kind.label}" for touch in touches),
        Counter({symbol(pc) or f"{pc:#x}": count for pc, count in code}),
        pages,
        {page: name for page, _ in pages.most_common(HOTTEST) if (name := symbol(VA(page)))},
    )
