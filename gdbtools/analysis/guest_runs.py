"""What a paravirtual guest's tables map, by its own numbers: runs that are one in pseudo-physical memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from gdbtools.addresses import PA, moved
from gdbtools.arch.model import Run
from gdbtools.systems.guest_frames import GuestFrames, NumberedFrame


@dataclass(frozen=True, slots=True)
class GuestRun:
    """Leaves of one kind that follow one another in pseudo-physical memory, from `frame` on.

    `run.output` is where the first of them is in the machine; they lie in `places` pieces there.
    """

    run: Run
    frame: NumberedFrame
    places: int


def frames_of(run: Run, page_bits: int) -> Iterator[tuple[int, int]]:
    """Yield each frame of the machine that a run leads to: (offset of its page in the run, frame)."""
    if run.output is None:
        return
    page = 1 << page_bits
    for offset in range(0, run.size_bytes, page):
        yield offset, run.output + run.offset_of(moved(run.first, offset)) >> page_bits


def guest_runs(runs: Iterable[Run], frames: GuestFrames) -> Iterator[GuestRun]:
    """Yield the same leaves as runs of the guest's own numbers; what has none is one by its mark."""
    held: GuestRun | None = None
    machine = 0
    page = 1 << frames.page_bits
    for run in runs:
        if not run.stride_bytes and run.leaves > 1 and run.output is not None:
            # Every leaf leads to the same place: it is one as it is.
            if held is not None:
                yield held
            held = None
            yield GuestRun(run, frames.of(run.output >> frames.page_bits), 1)
            continue
        for offset, frame in frames_of(run, frames.page_bits):
            known = frames.of(frame)
            if held is not None and _goes_on(held, run, offset, known, page):
                places = held.places + (frame != machine + 1)
                held = replace(held, run=held.run._replace(size_bytes=held.run.size_bytes + page), places=places)
            else:
                if held is not None:
                    yield held
                first, leaf = moved(run.first, offset), run.leaf_bytes
                piece = Run(first, page, PA(frame << frames.page_bits), leaf, leaf, run.kind, run.descriptor_pa)
                held = GuestRun(piece, known, 1)
            machine = frame
    if held is not None:
        yield held


def _goes_on(held: GuestRun, run: Run, offset: int, frame: NumberedFrame, page: int) -> bool:
    before, first = held.run, held.frame
    if before.kind != run.kind or before.leaf_bytes != run.leaf_bytes or before.last + 1 != run.first + offset:
        return False
    if first.mark is not frame.mark or first.said != frame.said:
        return False
    count = before.size_bytes // page
    if first.pseudo is None or frame.pseudo is None:
        return first.pseudo is None and frame.pseudo is None and frame.machine == first.machine + count
    return frame.pseudo == first.pseudo + count
