"""How files of each format begin: what opens one is imported when there is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ELF: Final = b"\x7fELF"
LIME: Final = b"EMiL"
KDUMP: Final = (b"KDUMP   ", b"DISKDUMP", b"makedumpfile\0")
"""The last is of the flattened format."""
NEARLY: Final[Mapping[bytes, str]] = {
    b"\x1f\x8b": "packed by gzip; unpack it first",
    b"\x28\xb5\x2f\xfd": "packed by zstd; unpack it first",
    b"\xfd7zXZ": "packed by xz; unpack it first",
    b"AVML": "compressed by AVML; unpack it with avml-convert",
    b"QEVM": "a saved or migrated QEMU; load it there and say: dump-guest-memory FILE",
    b"QFI\xfb": "a qcow2 image of a disk, not of memory; in QEMU's monitor say: dump-guest-memory FILE",
}
"""What a file that begins so is, and how to come to one that can be opened."""
LOOKED_AT: Final = 1 << 12
"""How many bytes tell what a file is; a dump's have a zero among them."""
_UTF_16: Final[Mapping[bytes, str]] = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_FEWEST: Final = 16
"""Fewer bytes do not tell an encoding."""
_MANY: Final = 0.8
"""Which part of the bytes of a text in UTF-16, every second of them, is 0 where its letters are Latin."""
_TEXTS: Final = frozenset(b"\t\n\r\b\f\x1b")
"""The control characters that a terminal's text has."""


def utf_16(begins: bytes) -> str:
    """Return the name of the encoding of a text that begins so and is in UTF-16; empty for any other."""
    marked = next((name for mark, name in _UTF_16.items() if begins.startswith(mark)), "")
    if marked or len(begins) < _FEWEST:
        return marked
    halves = {"utf-16-be": begins[0:LOOKED_AT:2], "utf-16-le": begins[1:LOOKED_AT:2]}
    zeros = {name: half.count(0) / len(half) for name, half in halves.items()}
    name = max(zeros, key=zeros.__getitem__)
    return name if zeros[name] >= _MANY and min(zeros.values()) <= 1 - _MANY else ""


def not_text(begins: bytes, name: str) -> str:
    """Return what a file is that begins so, and what to do with it; empty for a text, even one with noise."""
    if begins.startswith((ELF, LIME, *KDUMP)):
        return f"a dump, not a text: gdbtools fault -s {name}"
    nearly = next((what for beginning, what in NEARLY.items() if begins.startswith(beginning)), "")
    if nearly:
        return nearly
    if encoding := utf_16(begins):
        begins = begins.decode(encoding, errors="replace").encode()
    strange = sum(byte < 0x20 and byte not in _TEXTS for byte in begins) + begins.decode(errors="replace").count(
        "\ufffd"
    )
    if strange * 4 > len(begins):
        return f"no text; if it is a raw image of memory, say where it starts: gdbtools fault -s {name}@0x40000000"
    return ""
