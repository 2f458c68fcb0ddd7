"""What can go wrong for a reason the user can act on.

Each message is one line and says what to do next.  Everything else that is raised is a bug in gdbtools.
"""

from __future__ import annotations

from typing import ClassVar


class GdbtoolsError(Exception):
    """Base of every expected error; the faces print it as one line and nothing else.

    `status` is the exit status of a program that ends with it: 2 usage, 3 the bytes or registers are not there.
    """

    status: ClassVar[int] = 2


class Unreadable(GdbtoolsError):
    """Physical memory that the source cannot give.

    `pa` and `size_bytes` say which; absent evidence is never taken for an unmapped page.
    """

    status = 3

    def __init__(self, pa: int, size_bytes: int, why: str) -> None:
        super().__init__(f"cannot read {size_bytes} bytes at physical address {pa:#x}: {why}")
        self.pa = pa
        self.size_bytes = size_bytes
        self.why = why


class Unavailable(GdbtoolsError):
    """A register, or an ability of the target, that this source does not have."""

    status = 3


class Refused(GdbtoolsError):
    """Something that could be done and must not be, with the reason."""


class UsageError(GdbtoolsError):
    """The user's words could not be understood."""


class Malformed(GdbtoolsError):
    """A file that is not what it says it is, or is cut short."""

    status = 3


class Interrupted(GdbtoolsError):
    """Ctrl-C, while something long was being done."""

    status = 130
