"""What somebody may have meant who wrote a name that there is not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from gdbtools.errors import UsageError

if TYPE_CHECKING:
    from gdbtools.bits import Word

ALIKE: Final = 0.7
"""How much of two names has to be the same: `TTRB0_EL1` is alike, `NONSENSE` and `nsproxy` are not."""
_TRIED: Final = 8


def nearest(word: str, names: Iterable[str], ending: str = "") -> str:
    """Return the name that is most like a word, in any case; empty where none is.

    Of several that are as like, the first that has this `ending` is preferred.
    """
    from difflib import SequenceMatcher, get_close_matches  # only a mistake needs them

    spelled = {name.lower(): name for name in names}
    lower = word.lower()
    close = get_close_matches(lower, spelled, _TRIED, ALIKE)
    if not close:
        return ""
    best = max(close, key=lambda name: (SequenceMatcher(None, name, lower).ratio(), name.endswith(ending.lower())))
    return spelled[best]


def did_you_mean(word: str, names: Iterable[str], otherwise: str, ending: str = "") -> str:
    """Return the question, or what is to be said where there is no such name."""
    name = nearest(word, names, ending)
    return f"did you mean {name}?" if name else otherwise


def with_field(word: Word, name: str, value: int, whose: str) -> Word:
    """Return a word with the field of that name changed; raises `UsageError` for one it has not, or that is too small.

    `whose` says in the message what the word is.
    """
    try:
        return type(word)(word.field(name).into(word, value))
    except KeyError:
        names = [field.name for field in word.fields()]
        meant = nearest(name, names)
        near = f"did you mean {meant}? " if meant else ""
        raise UsageError(f"{whose} has no field {name}; {near}it has: {', '.join(names)}") from None
    except ValueError as error:
        raise UsageError(f"{whose}: {error}; give a value that fits") from None
