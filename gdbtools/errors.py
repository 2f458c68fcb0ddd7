"""What can go wrong for a reason the user can act on.

Each message is one line and says what to do next.  Everything else that is raised is a bug in gdbtools.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from gdbtools.addresses import PA

ANSWERED, FINDING, USAGE, MISSING, REFUSED, INTERRUPTED, NOT_READ = 0, 1, 2, 3, 4, 130, 141
"""The exit statuses that scripts rely on: answered; answered, and the answer is a fault or a finding; words that make
no sense; the bytes or registers are not there; it could be done and must not be; Ctrl-C; whoever read the answer has
gone (what a shell says of SIGPIPE)."""


GIVE_REGISTERS: Final = "give what is missing with --registers FILE, in GDB: set mmu-registers FILE"
"""What to do about registers that a source lacks, in the words of both faces."""
FIND_ROOTS: Final = "`find-roots --write FILE` makes one of the tables that it finds"
"""What makes such a file, where there are no registers at all: what it makes has those of translation alone."""


class GdbtoolsError(Exception):
    """Base of every expected error; the faces print it as one line and nothing else.

    `status` is the exit status of a program that ends with it.
    """

    status: ClassVar[int] = USAGE

    @property
    def made_of(self) -> Sequence[Any]:
        """What it was made of: strings and integers, from which another process makes it again."""
        return self.args


class Unreadable(GdbtoolsError):
    """Physical memory that the source cannot give.

    `pa` and `size_bytes` say which; absent evidence is never taken for an unmapped page.
    """

    status = MISSING

    def __init__(self, pa: PA, size_bytes: int, why: str) -> None:
        super().__init__(f"cannot read {size_bytes} bytes at physical address {pa:#x}: {why}")
        self.pa = pa
        self.size_bytes = size_bytes
        self.why = why

    @property
    def made_of(self) -> Sequence[Any]:
        return self.pa, self.size_bytes, self.why


class Unavailable(GdbtoolsError):
    """A register, or an ability of the target, that this source does not have."""

    status = MISSING


class MissingRegister(Unavailable):
    """Registers that a source does not have: `lacks` begins the message, `advice` ends it, `names` are between."""

    def __init__(self, lacks: str, names: Sequence[str], advice: str) -> None:
        super().__init__(f"{lacks} {', '.join(names)}; {advice}")
        self._lacks = lacks
        self._names = names
        self._advice = advice

    def or_say(self, what: str) -> MissingRegister:
        """Return the same with what else to say instead: no file that a search for roots makes has it."""
        return MissingRegister(self._lacks, self._names, f"{what}, or {GIVE_REGISTERS}")

    def beside_others(self) -> MissingRegister:
        """Return the same where others are there: a search for roots would make no more of them."""
        return MissingRegister(self._lacks, self._names, self._advice.removesuffix(f"; {FIND_ROOTS}"))

    def of(self, names: Sequence[str]) -> MissingRegister:
        """Return the same about other registers: all that a question needs, where the first was asked for."""
        return MissingRegister(self._lacks, names, self._advice)


class Refused(GdbtoolsError):
    """Something that could be done and must not be, with the reason."""

    status = REFUSED


class UsageError(GdbtoolsError):
    """The user's words could not be understood."""


class ArchitectureUnsaid(UsageError):
    """Nothing says of which architecture something is; `names` are those that it may be of.

    The advice is a command line's: a face that has other words for it says it in those.
    """

    WHY: ClassVar[str] = "nothing says which architecture this is of"

    def __init__(self, *names: str) -> None:
        super().__init__(f"{self.WHY}; say --arch {'|'.join(names)}")
        self.names = names

    @property
    def made_of(self) -> Sequence[Any]:
        return self.names


class Malformed(GdbtoolsError):
    """A file that is not what it says it is, or is cut short."""

    status = MISSING


class Interrupted(GdbtoolsError):
    """Ctrl-C, while something long was being done."""

    status = INTERRUPTED


KINDS: Final[Mapping[str, type[GdbtoolsError]]] = {
    kind.__name__.lower(): kind for kind in (Unreadable, Unavailable, Refused, UsageError, Malformed, Interrupted)
}
"""The kinds of error, by the names under which they cross from one process to another."""


def crossing(error: GdbtoolsError) -> dict[str, Any]:
    """Return an error as JSON has it, by the name of the nearest kind that every process knows."""
    for name, kind in KINDS.items():
        if isinstance(error, kind):
            return {"kind": name, "made_of": list(error.made_of)}
    return {"kind": "", "made_of": [str(error)]}


def crossed(record: Mapping[str, Any]) -> GdbtoolsError:
    """Return the error that `crossing` wrote down: of the same kind, with the same words."""
    return KINDS.get(record["kind"], GdbtoolsError)(*record["made_of"])
