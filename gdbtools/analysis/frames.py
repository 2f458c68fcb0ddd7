"""Which of a writer's frames are told: library code that stands between the store and who wanted it is folded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from gdbtools.units import PAGE_BYTES
from gdbtools.wording import number_of

MOST: Final = 8
"""How many frames of the guest's own code are told: inlined ones and a library's do not count."""
LIBRARIES: Final = ("std::", "__gnu_cxx::", "__cxxabiv1::", "boost::")
HEADERS: Final = ("/include/c++/", "/include/boost/")


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as a debugger tells it; `function` and `source` are empty where they are not known."""

    pc: int
    function: str
    source: str = ""
    inlined: bool = False

    @property
    def is_library(self) -> bool:
        """Whether it is the C++ library's: by the name before its template arguments, or by the header it is from."""
        head = self.function.partition("<")[0].partition("(")[0].split()
        named = bool(head) and head[-1].startswith(LIBRARIES)
        return named or any(part in self.source for part in HEADERS)

    def said(self) -> str:
        source = f"  {self.source}" if self.source else ""
        return f"{self.pc:#x}  {self.function}{source}".rstrip()


def of_code(frames: Iterable[Frame], executable: Callable[[int], bool]) -> Iterator[Frame]:
    """Yield frames up to the first caller that has no name and is where nothing may be executed.

    Without symbols and unwind information a debugger takes whatever is on the stack for a caller.
    """
    for number, frame in enumerate(frames):
        if number and not frame.function and not executable(frame.pc):
            return
        yield frame


def told(frames: Iterable[Frame], most: int = MOST) -> list[str]:
    """Return a line for each frame, innermost first: the innermost always, and so many of the guest's own.

    Frames of a library, one after another, are one line that says how many; what is left out at the end is said.  A
    caller without a name in the first page is none, and ends them.
    """
    lines: list[str] = []
    folded = own = 0
    for number, frame in enumerate(frames):
        # No code is there, so that a null pointer faults: an unwinder that comes there has gone beyond the outermost.
        if number and not frame.function and frame.pc < PAGE_BYTES:
            break
        if number and frame.is_library:
            folded += 1
            continue
        if folded:
            lines.append(_folded(folded))
            folded = 0
        if own == most:
            lines.append("... and its callers")
            return lines
        lines.append(frame.said())
        own += not (frame.inlined or frame.is_library)
    return [*lines, _folded(folded)] if folded else lines


def _folded(count: int) -> str:
    return f"... {number_of(count, 'frame')} of the C++ library"
