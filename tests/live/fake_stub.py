"""A gdbstub that serves a capture, and can lack or fail at what QEMU's has: what the real one cannot be asked to do."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from gdbtools.errors import Unavailable, Unreadable
from gdbtools.machine.model import Machine
from gdbtools.machine.sources import open_source

CORE = (*(f"x{n}" for n in range(31)), "sp", "pc", "cpsr")
SYSTEM = ("TTBR0_EL1", "TTBR1_EL1", "TCR_EL1", "SCTLR_EL1", "MAIR_EL1", "ESR_EL1", "FAR_EL1", "ELR_EL1", "SPSR_EL1")
SYSTEM += ("VBAR_EL1", "ID_AA64MMFR0_EL1", "ID_AA64MMFR1_EL1")
PAGE_BYTES = 0x1000
LATE_SECONDS, PATIENCE_SECONDS = 0.4, 60.0
"""How long after its question has come again a late answer comes, and how long that is waited for."""
MODE = "Qqemu.PhyMemMode:"


def _register_xml(name: str) -> str:
    return f'<reg name="{name}" bitsize="{_register_bytes(name) * 8}" type="int"/>'


def _register_bytes(name: str) -> int:
    return 4 if name == "cpsr" else 8


@dataclass
class Stub:
    """A server on a unix socket at `path` for one client, until the `with` block is left."""

    path: Path
    capture: Path
    system_registers: bool = True
    physical_mode: bool = True
    unreadable: frozenset[int] = frozenset()
    """Physical addresses whose reads fail, as where no memory is."""
    drop_at: int = 0
    """The physical read, counted from 1, that is answered by closing the connection."""
    late_at: int = 0
    """The physical read, counted from 1, whose answer comes when GDB has waited long enough and asks again."""
    architecture: str = "aarch64"
    serves_a_program: bool = False
    pages: Mapping[int, bytes] = field(default_factory=dict)
    """Pages that the capture lacks, by their physical address."""
    monitor: Mapping[str, str] = field(default_factory=dict)
    """What it says to `monitor COMMAND`; without any there is no monitor."""
    mode: bool = field(default=False, init=False)
    reads: list[int] = field(default_factory=list, init=False)
    together: list[int] = field(default_factory=list, init=False)
    """How many physical reads came in one piece, of each piece that had any."""
    modes: list[bool] = field(default_factory=list, init=False)
    ended: str = field(default="", init=False)
    """How it was parted from: `D` let go, `k` or `v` killed."""
    writes: list[int] = field(default_factory=list, init=False)
    """Physical addresses that were to be written; nothing is."""
    _machine: Machine = field(init=False, repr=False)
    _listener: socket.socket = field(init=False, repr=False)
    _client: socket.socket | None = field(default=None, init=False, repr=False)

    def __enter__(self) -> Stub:
        self._machine = open_source(str(self.capture))
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(1)
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        if self._client is not None:
            self._client.close()

    def _serve(self) -> None:
        try:
            self._client, _ = self._listener.accept()
            pending = b""
            while data := self._client.recv(1 << 12):
                pending += data
                before = len(self.reads)
                while b"#" in pending[:-2]:
                    start, end = pending.index(b"$"), pending.index(b"#")
                    text, pending = pending[start + 1 : end].decode("latin-1"), pending[end + 3 :]
                    answer = self.answer(text)
                    if answer is None:
                        self._client.shutdown(socket.SHUT_RDWR)
                        return
                    checksum = sum(answer.encode()) & 0xFF
                    self._client.sendall(f"+${answer}#{checksum:02x}".encode())
                if len(self.reads) > before:
                    self.together.append(len(self.reads) - before)
        except OSError:
            return

    def answer(self, text: str) -> str | None:
        """Return the answer to a packet, empty to an unknown one, or None to close the connection."""
        if text[:1] in ("D", "k") or text.startswith("vKill"):
            self.ended = text[:1]
        if text == "qAttached":
            return str(int(not self.serves_a_program))
        if text in FIXED:
            return FIXED[text]
        for start, method in ANSWERS.items():
            if text.startswith(start):
                return method(self, text[len(start) :])
        return ""

    @property
    def names(self) -> tuple[str, ...]:
        return (*CORE, *(SYSTEM if self.system_registers else ()))

    def _features(self, place: str) -> str:
        offset, size = (int(each, 16) for each in place.split(","))
        core, system = self.names[: len(CORE)], self.names[len(CORE) :]
        features = [f'<feature name="org.gnu.gdb.aarch64.core">{"".join(map(_register_xml, core))}</feature>']
        features += [f'<feature name="system">{"".join(map(_register_xml, system))}</feature>'] if system else []
        body = "".join(features) if self.architecture == "aarch64" else ""
        xml = f'<?xml version="1.0"?><target><architecture>{self.architecture}</architecture>{body}</target>'
        return ("m" if offset + size < len(xml) else "l") + xml[offset : offset + size]

    def _register(self, number: str) -> str:
        at = int(number, 16)
        if at >= len(self.names):
            return "E45"
        size = _register_bytes(self.names[at])
        try:
            return self._machine.register(self.names[at]).to_bytes(8, "little")[:size].hex()
        except Unavailable:
            return "00" * size

    def _general(self, _: str) -> str:
        return "".join(self._register(f"{number:x}") for number in range(len(CORE)))

    def _read(self, place: str) -> str | None:
        at, size = (int(each, 16) for each in place.split(","))
        if not self.mode:
            return "E14"
        self.reads.append(at)
        if len(self.reads) == self.drop_at:
            return None
        if len(self.reads) == self.late_at:
            assert self._client is not None, "it has asked"
            select.select([self._client], [], [], PATIENCE_SECONDS)
            time.sleep(LATE_SECONDS)
        if at in self.unreadable:
            return "E14"
        page = self.pages.get(at & -PAGE_BYTES)
        try:
            return (page[at % PAGE_BYTES :][:size] if page else self._machine.memory.read(at, size)).hex()
        except Unreadable:
            return "E14"

    def _write(self, place: str) -> str:
        self.writes.append(int(place.partition(",")[0], 16))
        return "OK"

    def _monitor(self, command: str) -> str:
        said = self.monitor.get(bytes.fromhex(command).decode(), "unknown command\n")
        return said.encode().hex() if self.monitor else ""

    def _set_mode(self, value: str) -> str:
        if not self.physical_mode:
            return ""
        self.mode = value == "1"
        self.modes.append(self.mode)
        return "OK"

    def _get_mode(self, _: str) -> str:
        return str(int(self.mode)) if self.physical_mode else ""


FIXED: Mapping[str, str] = {
    "?": "T05thread:01;",
    "qC": "QC1",
    "qfThreadInfo": "m1",
    "qsThreadInfo": "l",
    "D": "OK",
}
ANSWERS: Mapping[str, Callable[[Stub, str], str | None]] = {
    "qSupported": lambda stub, _: "PacketSize=1000;qXfer:features:read+" + stub.serves_a_program * ";qXfer:auxv:read+",
    "qXfer:features:read:target.xml:": Stub._features,
    "qXfer:auxv:read::": lambda stub, _: "l" * stub.serves_a_program,
    "qqemu.PhyMemMode": Stub._get_mode,
    MODE: Stub._set_mode,
    "qRcmd,": Stub._monitor,
    "H": lambda stub, _: "OK",
    "T": lambda stub, _: "OK",
    "p": Stub._register,
    "g": Stub._general,
    "m": Stub._read,
    "M": Stub._write,
    "Z1": lambda stub, _: "OK",
    "z1": lambda stub, _: "OK",
}
