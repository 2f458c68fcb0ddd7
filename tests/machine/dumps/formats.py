"""Dumps as other tools write them, made from bytes: LiME, Linux's vmcore, kdump in all its compressions."""

from __future__ import annotations

import ctypes
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gdbtools.arch.aarch64 import GENERAL, IDENTITY
from gdbtools.errors import Unavailable
from gdbtools.machine.dumps.capture import PROGRAM_HEADER, PT_LOAD, PT_NOTE, core_bytes
from gdbtools.machine.dumps.kdump import libraries
from gdbtools.machine.dumps.kdump_reader import FLATTENED

PAGE_BYTES = 4096
ELF_HEADER_BYTES, PHOFF, SHOFF, PHNUM, SHENTSIZE = 64, 32, 40, 56, 58
PF_R, PN_XNUM = 4, 0xFFFF


def lime(ranges: Iterable[tuple[int, bytes]]) -> bytes:
    """Return what LiME writes: before each range its header, with the last address in it."""
    return b"".join(struct.pack("<IIQQQ", 0x4C694D45, 1, pa, pa + len(data) - 1, 0) + data for pa, data in ranges)


@dataclass(frozen=True)
class Segment:
    """A PT_LOAD; `at` is where in the file its bytes are, if those of another segment are meant."""

    pa: int
    data: bytes
    va: int = 0
    at: int | None = None


def note(name: bytes, kind: int, description: bytes) -> bytes:
    padded = [part + bytes(-len(part) % 4) for part in (name + b"\0", description)]
    return struct.pack("<III", len(name) + 1, len(description), kind) + b"".join(padded)


def vmcore(segments: Sequence[Segment], notes: bytes = b"") -> bytes:
    """Return an ELF core with segments in the order given, which may lie over one another."""
    header = bytearray(core_bytes(IDENTITY, [], 0, {})[:ELF_HEADER_BYTES])
    struct.pack_into("<Q", header, PHOFF, ELF_HEADER_BYTES)
    struct.pack_into("<H", header, PHNUM, 1 + len(segments))
    at = ELF_HEADER_BYTES + PROGRAM_HEADER.size * (1 + len(segments))
    headers = PROGRAM_HEADER.pack(PT_NOTE, 0, at, 0, 0, len(notes), len(notes), 4)
    body = notes
    for each in segments:
        offset = at + len(body) if each.at is None else each.at
        headers += PROGRAM_HEADER.pack(PT_LOAD, PF_R, offset, each.va, each.pa, len(each.data), len(each.data), 0)
        body += each.data if each.at is None else b""
    return bytes(header) + headers + body


def status(process: int = 0, **registers: int) -> bytes:
    """Return a `struct elf_prstatus` of AArch64."""
    return (
        bytes(32)
        + struct.pack("<I", process).ljust(80, b"\0")
        + struct.pack("<34Q", *(registers.get(name, 0) for name in GENERAL))
        + bytes(8)
    )


SIGNATURE, VERSION, NAMES_AT, NAME_BYTES, STATUS = b"KDUMP   ", 6, 12, 65, 424
BLOCK_BYTES, SUB_HEADER_BLOCKS, BITMAP_BLOCKS = 428, 432, 436
"""Where a `struct disk_dump_header` has them."""
PAGE = struct.Struct("<QIIQ")
"""`struct page_desc`: offset, size, flags, page_flags."""
ZLIB = 1


def kdump(
    pages: Mapping[int, bytes],
    notes: bytes = b"",
    machine: bytes = b"aarch64",
    block_bytes: int = PAGE_BYTES,
) -> bytes:
    """Return a kdump of these blocks, by physical address, packed by zlib; it names a machine if it is a Linux's.

    Source: `struct disk_dump_header` and `struct kdump_sub_header` of makedumpfile.
    """
    frames = sorted(pa // block_bytes for pa in pages)
    count = frames[-1] + 1
    half = -(-count // (8 * block_bytes))
    bits = bytearray(half * block_bytes)
    for frame in frames:
        bits[frame // 8] |= 1 << frame % 8
    header = bytearray(block_bytes)
    header[:8] = SIGNATURE
    struct.pack_into("<i", header, 8, VERSION)
    for number, name in enumerate((b"Linux", b"node", b"6.1.0", b"#1 SMP", machine) if machine else ()):
        at = NAMES_AT + NAME_BYTES * number
        header[at : at + len(name)] = name
    struct.pack_into("<IiiII", header, STATUS, ZLIB, block_bytes, 1, 2 * half, count)
    first = block_bytes * (2 + 2 * half)
    notes_at = first + PAGE.size * len(frames)
    body_at = notes_at + len(notes)
    sub = struct.pack("<QiiQQQQQQQQQQQ", 0, 0, 0, 0, 0, 0, 0, notes_at, len(notes), 0, 0, 0, 0, count)
    descriptors, body = b"", b""
    for frame in frames:
        packed = zlib.compress(pages[frame * block_bytes])
        descriptors += PAGE.pack(body_at + len(body), len(packed), ZLIB, 0)
        body += packed
    return bytes(header) + sub.ljust(block_bytes, b"\0") + bytes(bits) * 2 + descriptors + notes + body


def flattened(data: bytes) -> bytes:
    """Return a file as a stream of pieces: `makedumpfile -F`.

    Source: makedumpfile's `struct makedumpfile_header` and `makedumpfile_data_header`, both big-endian.
    """
    head = FLATTENED.ljust(16, b"\0") + struct.pack(">qq", 1, 1)
    piece = 3 * PAGE_BYTES
    pieces = [
        struct.pack(">qq", at, len(data[at : at + piece])) + data[at : at + piece] for at in range(0, len(data), piece)
    ]
    return head.ljust(PAGE_BYTES, b"\0") + b"".join(pieces) + struct.pack(">qq", -1, -1)


def rearranged(data: bytes) -> bytes:
    """Return a flattened file as it was meant: `makedumpfile -R`."""
    assert data.startswith(FLATTENED)
    image = bytearray()
    at = PAGE_BYTES
    while True:
        offset, size = struct.unpack_from(">qq", data, at)
        at += 16
        if offset < 0:
            return bytes(image)
        image[len(image) :] = bytes(max(offset + size - len(image), 0))
        image[offset : offset + size] = data[at : at + size]
        at += size


@dataclass(frozen=True)
class Compression:
    """How pages are packed: the flag that says so in a page's descriptor and in the header's status."""

    flag: int
    pack: Callable[[bytes], bytes]


def recompressed(data: bytes, compression: Compression) -> bytes:
    """Return a zlib kdump, not flattened, with its pages packed otherwise; one that does not shrink is kept."""
    block, sub, bitmap = (
        struct.unpack_from("<I", data, at)[0] for at in (BLOCK_BYTES, SUB_HEADER_BLOCKS, BITMAP_BLOCKS)
    )
    first = block * (1 + sub + bitmap)
    dumped = data[block * (1 + sub) + block * bitmap // 2 : first]
    end = first + PAGE.size * sum(byte.bit_count() for byte in dumped)
    descriptors = list(PAGE.iter_unpack(data[first:end]))
    lowest = min(offset for offset, _, _, _ in descriptors)
    head = bytearray(data[:lowest])
    struct.pack_into("<I", head, STATUS, compression.flag)
    packed: dict[int, tuple[int, int, int]] = {}
    body = b""
    for number, (offset, size, flags, page_flags) in enumerate(descriptors):
        if offset not in packed:
            page = data[offset : offset + size]
            page = zlib.decompress(page) if flags & ZLIB else page
            smaller = compression.pack(page)
            kept, flag = (smaller, compression.flag) if len(smaller) < len(page) else (page, 0)
            packed[offset] = lowest + len(body), len(kept), flag
            body += kept
        PAGE.pack_into(head, first + number * PAGE.size, *packed[offset], page_flags)
    return bytes(head) + body


COMPRESSIONS = ("lzo", "snappy", "zstd")


def _library(name: str) -> ctypes.CDLL:
    """Load a compressor: what libkdumpfile itself unpacks with, drgn's copy or the system's."""
    carried = [each for path in libraries() if "/" in path for each in Path(path).parent.glob(f"lib{name}-*.so*")]
    for each in (*map(str, carried), f"lib{name}.so", *(f"lib{name}.so.{version}" for version in (2, 1))):
        try:
            return ctypes.CDLL(each)
        except OSError:
            continue
    raise Unavailable(f"lib{name} is not here to pack with: pip install '.[dev]'")


@cache
def compression(name: str) -> Compression:
    """Return how one of `COMPRESSIONS` packs, or raise `Unavailable`."""
    code = _library({"lzo": "lzo2"}.get(name, name))

    def pack(page: bytes) -> bytes:
        buffer = ctypes.create_string_buffer(2 * len(page) + 1024)
        size, length = ctypes.c_size_t(len(buffer)), ctypes.c_size_t(len(page))
        if name == "lzo":
            work = ctypes.create_string_buffer(1 << 17)
            assert not code.lzo1x_1_compress(page, length, buffer, ctypes.byref(size), work)
        elif name == "snappy":
            assert not code.snappy_compress(page, length, buffer, ctypes.byref(size))
        else:
            code.ZSTD_compress.restype = ctypes.c_size_t
            size.value = code.ZSTD_compress(buffer, size, page, length, 1)
        return buffer.raw[: size.value]

    return Compression({"lzo": 2, "snappy": 4, "zstd": 0x20}[name], pack)
