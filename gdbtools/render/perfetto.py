"""A trace that the Perfetto UI opens: the Trace Event Format, as JSON.

Source: Google's "Trace Event Format", complete events (ph X) and metadata (ph M); times are in microseconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

PROCESS = 1
MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class Slice:
    """Something that took time on a track; times in seconds."""

    track: int
    name: str
    category: str
    start: float
    duration: float
    arguments: Mapping[str, str | int | None]


def perfetto(process: str, tracks: Mapping[int, str], slices: Iterable[Slice]) -> Iterator[str]:
    """Yield, piece by piece, a trace with one track for each number in `tracks`, in that order."""
    yield '{"displayTimeUnit": "ms", "traceEvents": [\n'
    for number, event in enumerate(_events(process, tracks, slices)):
        yield (",\n" if number else "") + json.dumps(event)
    yield "\n]}\n"


def _events(process: str, tracks: Mapping[int, str], slices: Iterable[Slice]) -> Iterator[dict[str, object]]:
    yield _metadata("process_name", 0, {"name": process})
    for order, (track, name) in enumerate(tracks.items()):
        yield _metadata("thread_name", track, {"name": name})
        yield _metadata("thread_sort_index", track, {"sort_index": order})
    for each in slices:
        yield {
            "ph": "X",
            "pid": PROCESS,
            "tid": each.track + 1,
            "name": each.name,
            "cat": each.category,
            "ts": round(each.start * MICROSECONDS, 3),
            "dur": round(each.duration * MICROSECONDS, 3),
            "args": dict(each.arguments),
        }


def _metadata(name: str, track: int, arguments: Mapping[str, object]) -> dict[str, object]:
    # Thread 0 is the idle task to Perfetto, and has no track of its own.
    return {"ph": "M", "pid": PROCESS, "tid": track + 1, "name": name, "args": dict(arguments)}
