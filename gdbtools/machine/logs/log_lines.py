"""Lines of a log as a system printed them: without what a console, a journal, a mail or a CI has put around them.

A text is in UTF-8 or UTF-16, and what is neither is kept where it stands; a message may be in a JSON object a line.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, Final

from gdbtools.machine.dumps import magic
from gdbtools.printable import without_sequences

BLOCK_BYTES: Final = 1 << 20
LONGEST: Final = 1 << 10
"""How many characters of a line are looked at: no line of a crash is longer."""
LONGEST_RAW: Final = 1 << 14
"""How many bytes are looked at for them: an object of JSON has others around the message."""
_HOST: Final = r"(?:\s\S{1,64}\skernel(?:(?:\[\d+\])?:|\s(?:-|\d{1,7})\s(?:-|\w{1,32})\s-\s))?"
"""What syslog and the journal have behind the time."""
_CALLER: Final = r"\[\s*(?P<caller>[TC]\d{1,10})\]"
_TIMES: Final = (
    r"\[\s*\d{1,10}\.\d{1,9}(?:,\d+)?\]",  # the kernel's own
    r"\[\w{3} \w{3} +\d+ \d\d:\d\d:\d\d \d{4}\]|\[\w{3} ?\d+ \d\d:\d\d\]|\[ *[+-]\d+\.\d+\]",  # dmesg -T, dmesg -H
    r"\[(?:\d{4}-\d\d-\d\d[T ])?\d\d:\d\d:\d\d(?:[.,]\d+)?Z?\]",  # a terminal's
    # ISO 8601: the journal, CI; behind it the stream of GitLab's runner.
    r"(?:\w{3} )?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d)\b)?(?: \d\d[OE]\b\+?)?",
    r"\w{3}\s+\d+ \d\d:\d\d:\d\d(?:\.\d+)?",  # syslog
    r"\d{10}\.\d{3,6}",  # the journal's short-unix
)
_RECORDS: Final = (
    # The level, as the kernel and syslog have it; not the marked byte of x86's code.
    r"<\d{1,3}>(?:1(?= \d{4}-))?(?! [0-9a-f]{2}\b)",
    r"(?:kern|user|daemon)\s*:\s*(?:emerg|alert|crit|err|warn|notice|info|debug)\s*:",  # and dmesg -x
    r"\d+,\d+,\d+,[-c](?:,caller=(?P<task>[TC]\d+))?[^;\s]{0,40};",  # /dev/kmsg
    rf"(?:{'|'.join(_TIMES)}){_HOST}",
    r"\d\d-\d\d \d\d:\d\d:\d\d\.\d+\s+\w*\s*\d+\s+\d+ [VDIWEF] [^:]{0,30}:",  # logcat
    _CALLER,
    r"\(XEN\)|\(d\d{1,5}\)",
    r"MESSAGE=",  # the journal's export
    r"[\w.-]{1,40}\s+\|\s",  # composed containers
    r"[^\t]{1,80}\t[^\t]{1,80}\t(?=\ufeff?\d{4}-)",  # a workflow's log as it is downloaded
)
_PREFIXES: Final = re.compile(rf"(?:[\s>\ufeff]|(?P<record>{'|'.join(_RECORDS)}))*")
_INNER: Final = re.compile(r"(?!^)(?=(?:<\d>)?\[ {0,4}\d{1,5}\.\d{6}\])")
"""Where another line begins in the middle of one."""
_MESSAGE: Final = re.compile(
    r'"(?:MESSAGE|message|msg|log|line|textPayload)"\s*:\s*(?:("(?:[^"\\]|\\.)*")|(\[[\d, ]*\]))'
)
SPELLED: Final = (b'"MESSAGE":[', b'"MESSAGE": [')
"""What a line has whose message is spelled out, byte by byte."""
_DEEPEST: Final = 3
"""How many objects a message may be inside of: a container's in a journal's."""
_SOFT: Final = re.compile(rb"(?:^|[^=])=\r?\n?$")
_SHORTEST_SOFT: Final = 60
_LONGEST_SOFT: Final = 78
"""Between these lengths a line of quoted-printable ends that goes on in the next: a mail's has at most 76."""
_ESCAPED: Final = b"=3D"
_ESCAPES: Final = re.compile(rb"=(3D|20|09|0[AD]|[89A-F][0-9A-F])")


@dataclass(frozen=True)
class LogLine:
    """What a system printed in one line; `caller` is the task or CPU that did, where the log says so.

    `is_record` says that it had a time, a level or the like of its own: what has none may be the rest of the line
    before it.  `is_cut` is one that another one was written into, and that may go on behind that.
    """

    text: str
    caller: str = ""
    is_record: bool = False
    is_cut: bool = False
    indent: str = ""
    """What was taken off that is its own where it is the rest of another: blanks, and what looks like a mail's mark."""


def blocks(file: BinaryIO) -> Iterator[bytes]:
    """Yield a text in UTF-8, whole lines of about a megabyte; of a longer line only the beginning is kept."""
    rest, decoder = b"", None
    begins = True
    while read := file.read(BLOCK_BYTES):
        if begins and (encoding := magic.utf_16(read)):
            decoder = codecs.getincrementaldecoder(encoding)("replace")
        begins = False
        block = rest + (read if decoder is None else decoder.decode(read).encode())
        cut = block.rfind(b"\n") + 1
        rest = block[cut:][:LONGEST_RAW]
        if cut:
            yield block[:cut]
    if rest:
        yield rest


def goes_on(raw: bytes) -> bool:
    """Return whether a line is one of quoted-printable that was broken, and goes on in the next."""
    return _SHORTEST_SOFT <= len(raw) <= _LONGEST_SOFT and _SOFT.search(raw) is not None


def joined(held: bytes, raw: bytes) -> bytes:
    """Return a line of quoted-printable with the one that it goes on in."""
    return held.rstrip(b"\r\n")[:-1] + raw


def lines_of(raw: bytes) -> Sequence[LogLine]:
    """Return what was printed in a line of a text: what a carriage return or another's line begins again is apart."""
    raw = raw[:LONGEST_RAW]
    # Where any other = stands in the line, it is a system's own, before a number.
    if _ESCAPED in raw and len(_ESCAPES.findall(raw)) == raw.count(b"="):
        raw = _ESCAPES.sub(lambda found: bytes((int(found[1], 16),)), raw)
    text, is_message = without_sequences(raw.decode(errors="replace").replace("\0", "")), False
    for _ in range(_DEEPEST):
        if (message := _message(text)) is None:
            break
        text, is_message = message, True
    found: list[LogLine] = []
    for piece in re.split(r"[\r\n]+", text.rstrip("\r\n")):
        inner = _apart(without_sequences(piece)[:LONGEST])
        found += [_bare(each, is_message, at < len(inner)) for at, each in enumerate(inner, 1)]
    return found


def _apart(text: str) -> Sequence[str]:
    """Return a line and those that were written into it, each with what stands before it."""
    found: list[str] = []
    before = ""
    for piece in _INNER.split(text):
        before += piece
        begins = _PREFIXES.match(before)
        if begins is None or begins.end() < len(before):
            found.append(before)
            before = ""
    return [*found, before] if before else found


def _message(text: str) -> str | None:
    """Return the message of an object of JSON, whatever stands before that; None where a line is no such thing."""
    begins = _PREFIXES.match(text)
    at = 0 if begins is None else begins.end()
    if text[at : at + 1] not in ("{", '"') or (found := _MESSAGE.search(text, at)) is None:
        return None
    with suppress(ValueError):
        said = json.loads(found[1] or found[2])
        # The journal has bytes where they are no UTF-8.
        return said if isinstance(said, str) else bytes(said).decode(errors="replace")
    return None


def _bare(text: str, is_record: bool, is_cut: bool) -> LogLine:
    found = _PREFIXES.match(text)
    assert found is not None, "it matches nothing, too"
    before, said = text[: found.end()], text[found.end() :]
    caller = found["caller"] or found["task"] or ""
    record = is_record or found["record"] is not None
    # Of one that is cut, the blank before the cut is its own.
    return LogLine(said if is_cut else said.rstrip(), caller, record, is_cut, "" if record else before)
