"""kdump-compressed files: QEMU's `dump-guest-memory` in the kdump formats, and makedumpfile's, flattened or not.

libkdumpfile reads them, in a process of its own: see `kdump_reader`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gdbtools.addresses import PA
from gdbtools.arch import ARCHITECTURES
from gdbtools.errors import Malformed, Refused, Unavailable, Unreadable
from gdbtools.machine.dumps import kdump_reader
from gdbtools.machine.dumps.dump import Dump
from gdbtools.machine.dumps.elfcore import general_registers, notes_of, with_own_notes
from gdbtools.machine.dumps.files import one_line, open_file
from gdbtools.machine.dumps.kdump_reader import ANSWER, FLATTENED, QUESTION
from gdbtools.machine.layers import FixedRegisters
from gdbtools.machine.model import Cpu
from gdbtools.units import PAGE_BYTES

VERSIONS = range(14, 9, -1)
"""Of the library's name, libkdumpfile.so.N, the newest first; 10 is Debian 12's."""
INSTALL = "pip install 'gdbtools[kdump]', or on Debian and Ubuntu: apt-get install libkdumpfile10"
PAGES = 1 << 12
"""How many pages are kept: a walk asks for eight bytes at a time."""
MANY_BYTES = 1 << 16
"""From so many on, what is asked for is asked for at once, and not kept."""


def libraries() -> Sequence[str]:
    """Return where libkdumpfile may be: the copy that drgn carries, which is the newest, then the system's."""
    drgn = find_spec("drgn")
    beside = Path(drgn.origin).parent.parent / "drgn.libs" if drgn is not None and drgn.origin else None
    carried = sorted(map(str, beside.glob("libkdumpfile*.so*"))) if beside is not None else []
    return (*carried, *(f"libkdumpfile.so.{version}" for version in VERSIONS))


class KdumpReader:
    """A child that has the file open; it ends when nobody can ask it any more."""

    def __init__(self, path: Path, candidates: Sequence[str]) -> None:
        words = [sys.executable, "-I", "-S", kdump_reader.__file__, str(path), ",".join(ARCHITECTURES), *candidates]
        # A carried library finds its own only if told where.
        beside = ":".join(dict.fromkeys(str(Path(each).parent) for each in candidates if "/" in each))
        self._process = subprocess.Popen(
            words,
            env={**os.environ, "LD_LIBRARY_PATH": beside},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        weakref.finalize(self, _end, self._process)

    def ask(self, pa: PA, size_bytes: int) -> tuple[bool, bytes]:
        assert self._process.stdin is not None, "it was made with one"
        try:
            self._process.stdin.write(QUESTION.pack(pa, size_bytes))
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            return False, self._last_words()
        return self.answer()

    def answer(self) -> tuple[bool, bytes]:
        """Return whether it was answered, and the bytes or why not."""
        assert self._process.stdout is not None, "it was made with one"
        head = self._process.stdout.read(ANSWER.size)
        if len(head) < ANSWER.size:
            return False, self._last_words()
        answered, length = ANSWER.unpack(head)
        data = self._process.stdout.read(length)
        return (bool(answered), data) if len(data) == length else (False, self._last_words())

    def _last_words(self) -> bytes:
        status = self._process.wait()
        how = signal.Signals(-status).name if status < 0 else f"status {status}"
        return f"libkdumpfile does not cope with it, and ended with {how}".encode()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            # What the child never read is thrown away with it.
            with suppress(BrokenPipeError):
                pipe.close()


@dataclass
class KdumpMemory:
    """Physical memory of a kdump-compressed file, page by page; what the dump leaves out is not there."""

    description: str
    reader: KdumpReader = field(repr=False)
    there: Sequence[tuple[PA, int]] = field(default=(), repr=False)
    kept: Sequence[tuple[PA, int]] = field(default=(), repr=False)

    def places(self) -> Sequence[tuple[PA, int]]:
        """Return where memory is, in order of address: also what whoever wrote the file left out of it."""
        return self.there

    def parts(self) -> Sequence[tuple[PA, int]]:
        """Return where memory is that the file has."""
        return self.kept

    @cached_property
    def _page(self) -> Callable[[int], bytes]:
        return lru_cache(PAGES)(self._read_page)

    def read(self, pa: PA, size_bytes: int) -> bytes:
        if size_bytes >= MANY_BYTES and pa + size_bytes <= 1 << 64:
            answered, data = self.reader.ask(pa, size_bytes)
            if answered:
                return data
        first = pa & -PAGE_BYTES
        pages = range(first, pa + size_bytes, PAGE_BYTES)
        data = b"".join(self._page(page) for page in pages)
        return data[pa - first : pa - first + size_bytes]

    def _read_page(self, page: int) -> bytes:
        pa = PA(page)
        answered, data = self.reader.ask(pa, PAGE_BYTES) if pa < 1 << 64 else (False, b"there is no such address")
        if not answered:
            raise Unreadable(pa, PAGE_BYTES, f"{self.description} does not have it ({data.decode(errors='replace')})")
        return data

    def write(self, pa: PA, data: bytes) -> None:  # noqa: ARG002
        raise Refused(f"{self.description} is evidence, not a guest: nothing is written to it")


def open_kdump(path: Path) -> Dump:
    """Open a kdump-compressed file; `Unavailable` says what to install where there is no library for it."""
    with one_line(str(path)), open_file(path) as file:
        flattened = file.read(len(FLATTENED)) == FLATTENED
    reader = KdumpReader(path, libraries())
    answered, said = reader.answer()
    if not answered and not said:
        raise Unavailable(f"{path} is kdump-compressed, and libkdumpfile is not installed: {INSTALL}")
    if not answered and flattened and b"Unknown file format" in said:
        raise Unavailable(
            f"{path} is flattened, and this libkdumpfile is too old for that: pip install 'gdbtools[kdump]', or "
            f"makedumpfile -R NEW < {path}"
        )
    if not answered and b"Wrong PRSTATUS size" in said:
        # Of RISC-V's, 0.5.5 does not know the size that Linux and QEMU write.
        raise Unavailable(
            f"{path} is a kdump whose registers this libkdumpfile does not know ({said.decode(errors='replace')}); "
            "take the dump as ELF: dump-guest-memory FILE"
        )
    if not answered:
        raise Malformed(f"{path} is no kdump that can be read: {said.decode(errors='replace')}; take the dump again")
    facts: dict[str, Any] = json.loads(said)
    if facts["machine"] not in ("", facts["architecture"]):
        raise Malformed(f"{path} is a dump of {facts['machine']}; only {ARCHITECTURES.titles} is decoded")
    identity = ARCHITECTURES.identity(facts["architecture"])
    values = [general_registers(identity.status, bytes.fromhex(status)) for status in facts["statuses"]]
    with suppress(Malformed):
        notes = [*notes_of(path, bytes.fromhex(facts["notes"]), identity)]
        values = with_own_notes(identity, values, notes)
    cpus = tuple(Cpu(number, FixedRegisters(each, f"the dump {path.name}")) for number, each in enumerate(values))
    there, kept = ([(PA(first), size) for first, size in facts[name]] for name in ("places", "kept"))
    memory = KdumpMemory(f"the dump {path.name}", reader, there, kept)
    return Dump(facts["architecture"], memory, cpus, 0, facts["vmcoreinfo"].encode())
