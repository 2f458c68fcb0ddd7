"""Text that is not ours on its way to a terminal: what would act there is written out instead.

A dump's notes, a guest's symbols and console, a file's name may hold escape sequences that set a window's title, ask
the terminal to answer into the prompt, or turn text around.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_ACTS: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode's categories of what is not drawn: controls, bidirectional and other formats, surrogates, separators."""
_COLOUR: Final = re.compile(r"\x1b\[[0-9;:]*m")
_SEQUENCE: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: the cursor, the screen, modes, questions
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # OSC, DCS, SOS, PM, APC
    r"|\x1b[ -/]+[0-~]|\x1b[0-Z\\^-~]"  # character sets, and the rest of two characters
)
_PIECES: Final = re.compile(rf"({_COLOUR.pattern})|({_SEQUENCE.pattern})")
PLAIN: Final = "\x1b[0m"
_LINE: Final = re.compile(r"[^\n]*\r(?=[^\n])")


def visible(text: str) -> str:
    """Return text with what would act on a terminal, or cannot be written, as Python would write it in a string."""
    return text if text.isprintable() else "".join(map(_visible, text))


def in_a_line(text: str) -> str:
    """Return text as one line, with what would act on a terminal written out."""
    return visible(" ".join(text.split()))


def tame(text: str) -> str:
    """Return a console's output with its lines and colours, and without anything else that acts on a terminal.

    Whole sequences, a guest's shell asks the terminal all the time, are left out; controls that stand alone are written
    out.  Of a line that was written over, the last is left.  Colours end with the text.
    """
    if text.isprintable():
        return text
    kept: list[str] = []
    at = 0
    coloured = False
    for found in _PIECES.finditer(text):
        kept.append(_lines(text[at : found.start()]))
        at = found.end()
        if found[1]:
            kept.append(found[1])
            coloured = found[1] not in (PLAIN, "\x1b[m")
    kept.append(_lines(text[at:]))
    return "".join(kept) + (PLAIN if coloured else "")


def without_sequences(text: str) -> str:
    """Return text without colours and whatever else acts on a terminal as a sequence."""
    return _PIECES.sub("", text) if "\x1b" in text else text


def _lines(text: str) -> str:
    lines = _LINE.sub("", text.replace("\r\n", "\n")).replace("\r", "")
    return "\n".join(visible(part) if "\t" not in part else _tabbed(part) for part in lines.split("\n"))


def _tabbed(text: str) -> str:
    return "\t".join(map(visible, text.split("\t")))


def _visible(character: str) -> str:
    if unicodedata.category(character) not in _ACTS:
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 1 << 8 else f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}"
