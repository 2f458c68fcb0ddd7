"""Read a kdump-compressed file with libkdumpfile, for a parent that asks over pipes.  Run as a program of its own.

The library is C, and a file that is damaged or hostile makes it crash, spin or ask for all memory there is (seen in
0.5.1 and 0.5.5): here it harms nobody else, and its memory and its time on the processor are limited.  Nothing of
gdbtools is imported, so that this starts at once under any Python.

A question is `QUESTION`: a physical address and a size.  An answer is `ANSWER`, whether it was answered and the length
of what follows: the bytes, or why not.  The first answer comes unasked: what the file says of itself, as JSON.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import resource
import struct
import sys
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

QUESTION = struct.Struct("<QQ")
ANSWER = struct.Struct("<?I")
MORE_MEMORY_BYTES = 1 << 28
"""What opening a file may take beside the file's own size; the library keeps 1024 pages of up to 64 KiB."""
SECONDS, BYTES_A_SECOND = 3, 50 << 20
"""How long a question may take on the processor, and how much longer to open a file: if flattened, it is read whole."""
NUMBER, STRING, BLOB = 2, 4, 6  # kdump_attr_type
MACHPHYSADDR = 1  # kdump_addrspace
NEVER = 0  # kdump_mmap_policy: to map a file that is cut short would end in SIGBUS
FLATTENED = b"makedumpfile\0"
FIRST_PIECE, HEADER_BYTES, BLOCK_SIZE = 4096 + 16, 464, 428
"""Where a flattened file has what comes first, after its own header and this piece's; and in that, the block size."""
MACHINE, MACHINE_BYTES = 272, 65
"""Where that has `utsname.machine`."""
BITMAP_AT = struct.Struct("<II")
"""`sub_hdr_size` and `bitmap_blocks`, which follow the block size."""
NOTES_AT, NOTES = 48, struct.Struct("<QQ")
"""Where a `struct kdump_sub_header` of 64 bits has `offset_note` and `size_note`."""
PIECE, PIECES_AT = struct.Struct(">qq"), 4096
"""A flattened file's pieces: where one belongs and its size, or -1 at the end."""
NOTES_BYTES, BITMAP_BYTES, RUNS = 1 << 24, 1 << 27, 1 << 16
"""How much of each there may be: a bitmap of that size is of 4 TiB."""


class Value(ctypes.Union):
    _fields_ = [("number", ctypes.c_uint64), ("string", ctypes.c_char_p), ("blob", ctypes.c_void_p)]


class Attribute(ctypes.Structure):
    """`struct kdump_attr`."""

    _fields_ = [("kind", ctypes.c_int), ("value", Value)]


class LibraryRefused(Exception):
    """The library's own words."""


class Library:
    """The few functions of libkdumpfile that reading takes; the same from 0.5.1 (Debian 12) to 0.5.5 (drgn's)."""

    def __init__(self, code: ctypes.CDLL) -> None:
        self._code = code
        code.kdump_new.restype = ctypes.c_void_p
        for function in (code.kdump_get_err, code.kdump_strerror):
            function.restype = ctypes.c_char_p
        code.kdump_blob_pin.restype = ctypes.c_void_p
        code.kdump_blob_size.restype = ctypes.c_size_t
        self._context = ctypes.c_void_p(code.kdump_new())

    def _checked(self, status: int) -> None:
        if status:
            said = self._code.kdump_get_err(self._context) or self._code.kdump_strerror(status)
            raise LibraryRefused(" ".join(said.decode(errors="replace").split()))

    def open(self, file: BinaryIO, known: Sequence[str]) -> None:
        """Open a file; whose it is, its header says, or it is of the first of those that are known."""
        self._set("file.mmap_policy", Attribute(NUMBER, Value(number=NEVER)))
        # A guest that is no Linux leaves it open whose dump it is, and then the library would not read the registers.
        self._set("arch.name", Attribute(STRING, Value(string=machine_of(file, known).encode())))
        descriptor = ctypes.c_int(file.fileno())
        self._checked(self._code.kdump_open_fdset(self._context, 1, ctypes.byref(descriptor)))
        # The library believes the PAGESIZE that Linux left; QEMU counts in blocks of 64 KiB all the same.
        self._set("arch.page_size", Attribute(NUMBER, Value(number=block_bytes(file))))

    def _set(self, name: str, attribute: Attribute) -> None:
        self._checked(self._code.kdump_set_attr(self._context, name.encode(), ctypes.byref(attribute)))

    def _get(self, name: str, kind: int) -> Any:
        attribute = Attribute()
        if self._code.kdump_get_attr(self._context, name.encode(), ctypes.byref(attribute)) or attribute.kind != kind:
            return None
        if kind == BLOB:
            blob = ctypes.c_void_p(attribute.value.blob)
            return ctypes.string_at(self._code.kdump_blob_pin(blob), self._code.kdump_blob_size(blob))
        return attribute.value.number if kind == NUMBER else attribute.value.string.decode(errors="replace")

    @property
    def is_wide(self) -> bool:
        """Whether the file's own headers are those of 64 bits."""
        return bool(self._get("arch.ptr_size", NUMBER) == 8)

    def facts(self) -> dict[str, Any]:
        """Return what the file says of itself: whose it is, each CPU's `elf_prstatus`, what Linux left in it."""
        cpus = range(min(self._get("cpu.number", NUMBER) or 0, 1 << 12))
        linux = self._get("linux.vmcoreinfo.raw", BLOB) or (self._get("linux.vmcoreinfo.raw", STRING) or "").encode()
        return {
            "machine": self._get("linux.uts.machine", STRING) or "",
            "statuses": [(self._get(f"cpu.{cpu}.PRSTATUS", BLOB) or b"").hex() for cpu in cpus],
            "vmcoreinfo": linux.decode(errors="replace"),
        }

    def read(self, pa: int, size_bytes: int) -> bytes:
        buffer = ctypes.create_string_buffer(size_bytes)
        length = ctypes.c_size_t(size_bytes)
        address = ctypes.c_uint64(pa)
        self._checked(
            self._code.kdump_read(self._context, MACHPHYSADDR, address, buffer, ctypes.byref(length)),
        )
        return buffer.raw


class Stored:
    """A file's bytes where they belong: of a flattened one, out of the pieces that have them."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        file.seek(0)
        self._next = PIECES_AT if file.read(len(FLATTENED)) == FLATTENED else None
        self._pieces: list[tuple[int, int, int]] = [] if self._next else [(0, os.fstat(file.fileno()).st_size, 0)]

    def read(self, first: int, size_bytes: int) -> bytes:
        """Return bytes of the file as it was meant; what no piece has is zeros."""
        data, left = bytearray(size_bytes), size_bytes
        for offset, size, at in self._all_pieces():
            start, end = max(first, offset), min(first + size_bytes, offset + size)
            if start < end:
                self._file.seek(at + start - offset)
                data[start - first : end - first] = self._file.read(end - start).ljust(end - start, b"\0")
                left -= end - start
            if left <= 0:
                break
        return bytes(data)

    def _all_pieces(self) -> Iterator[tuple[int, int, int]]:
        """Yield (where it belongs, its size, where it is) of each, as far as anybody asks."""
        yield from self._pieces
        while self._next is not None:
            self._file.seek(self._next)
            head = self._file.read(PIECE.size)
            offset, size = PIECE.unpack(head) if len(head) == PIECE.size else (-1, -1)
            if offset < 0 or size < 0:
                self._next = None
                return
            self._pieces.append((offset, size, self._next + PIECE.size))
            self._next += PIECE.size + size
            yield self._pieces[-1]


def runs(bits: bytes) -> list[tuple[int, int]]:
    """Return (first, how many) of the bits that are set, the lowest of a byte first; nothing where that is too many."""
    found: list[tuple[int, int]] = []
    for each in re.finditer(rb"\xff+|[^\x00\xff]", bits, re.DOTALL):
        first, value = 8 * each.start(), each[0]
        parts = [(first, 8 * len(value))] if value[0] == 0xFF else [
            (first + bit, 1) for bit in range(8) if value[0] >> bit & 1
        ]  # fmt: skip
        for start, count in parts:
            if found and sum(found[-1]) == start:
                found[-1] = found[-1][0], found[-1][1] + count
            else:
                found.append((start, count))
        if len(found) > RUNS:
            return []
    return found


def held(file: BinaryIO, is_wide: bool) -> dict[str, Any]:
    """Return what the library does not tell: all notes, the places of memory, and which of those are in the file."""
    stored, block = Stored(file), block_bytes(file)
    sub, bitmap = BITMAP_AT.unpack(stored.read(BLOCK_SIZE + 4, BITMAP_AT.size))
    where, size = NOTES.unpack(stored.read(block + NOTES_AT, NOTES.size)) if is_wide else (0, 0)
    notes = stored.read(where, size) if size <= NOTES_BYTES else b""
    half = bitmap * block // 2
    bits = stored.read(block * (1 + sub), 2 * half) if half <= BITMAP_BYTES else b""
    there, kept = (
        [(first * block, count * block) for first, count in runs(each)] for each in (bits[:half], bits[half:])
    )
    return {"notes": notes.hex(), "places": there, "kept": kept}


def _header(file: BinaryIO) -> bytes:
    """Return a file's `struct disk_dump_header`, which comes first."""
    file.seek(0)
    begins = file.read(FIRST_PIECE + HEADER_BYTES)
    return begins[FIRST_PIECE if begins.startswith(FLATTENED) else 0 :]


def block_bytes(file: BinaryIO) -> int:
    """Return the unit that a file counts in: `block_size` of its header."""
    return int.from_bytes(_header(file)[BLOCK_SIZE : BLOCK_SIZE + 4], "little")


def machine_of(file: BinaryIO, known: Sequence[str]) -> str:
    """Return whose dump it is, as its header says; the first that is known where it says none of them."""
    said = _header(file)[MACHINE : MACHINE + MACHINE_BYTES].partition(b"\0")[0].decode(errors="replace")
    return said if said in known else known[0]


def limit_memory(file_bytes: int) -> None:
    """Limit the address space to what there is by now, the file's size, and a constant."""
    with open("/proc/self/statm") as statm:
        used = int(statm.read().split()[0]) * resource.getpagesize()
    limit = used + file_bytes + MORE_MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_time(seconds: float) -> None:
    """End this process once it has spent that much more time on the processor."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


def loaded(candidates: Sequence[str]) -> Library:
    for each in candidates:
        try:
            return Library(ctypes.CDLL(each))
        except (OSError, AttributeError):
            continue
    raise LibraryRefused("")


def answer(to: BinaryIO, answered: bool, data: bytes) -> None:
    to.write(ANSWER.pack(answered, len(data)) + data)
    to.flush()


def serve(path: str, known: Sequence[str], candidates: Sequence[str]) -> None:
    """Open a file with the first library that there is, and answer until nobody asks any more."""
    asked, to = sys.stdin.buffer, sys.stdout.buffer
    try:
        library = loaded(candidates)
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            limit_memory(size)
            limit_time(SECONDS + size / BYTES_A_SECOND)
            library.open(file, known)
            said = {**library.facts(), **held(file, library.is_wide), "architecture": machine_of(file, known)}
            answer(to, True, json.dumps(said).encode())
            while len(question := asked.read(QUESTION.size)) == QUESTION.size:
                limit_time(SECONDS)
                try:
                    answer(to, True, library.read(*QUESTION.unpack(question)))
                except LibraryRefused as why:
                    answer(to, False, str(why).encode())
    except (LibraryRefused, OSError, MemoryError) as why:
        answer(to, False, str(why).encode())


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2].split(","), sys.argv[3:])
