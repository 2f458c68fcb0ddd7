"""A real Linux under QEMU: its RAM mapped, its registers and QEMU's own walker at hand, and a shell inside."""

from __future__ import annotations

import mmap
import re
import select
import shlex
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import ClassVar

from gdbtools.children.processes import DIES_WITH_PARENT
from gdbtools.errors import Unavailable, Unreadable
from tests.guests.packages import Qemu, busybox, qemu

RAM = 0x40000000
"""Where the virt machine's RAM starts; flash and devices are below."""

READY, END = "guest is ready", "end of output"
INIT = f"""#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mount -t debugfs debug /sys/kernel/debug 2>/dev/null
for module in /lib/*.ko; do test -f "$module" && insmod "$module"; done
stty -echo -onlcr
echo 1 > /proc/sys/kernel/printk
echo "{READY}"
while read -r line; do
    eval "$line"
    echo "{END} $?"
done
"""
REGISTER_NAMES = {"SCTLR": "SCTLR_EL1", "VBAR": "VBAR_EL1", "CPACR": "CPACR_EL1"}
"""What QEMU's gdbstub names without their level (7.2, 10.0)."""
WIDEST_BITS = 64
PRESENT, FRAME = 1 << 63, (1 << 55) - 1
"""Of a word of /proc/PID/pagemap."""


def typed(line: str, most: int | None) -> list[str]:
    """Return lines of at most `most` characters, their ends included, of which the last makes a shell evaluate `line`.

    Each is to be answered before the next is sent: a console may drop what is not read in time.
    """
    if most is None or len(line) < most:
        return [line]
    lines, rest = [], line
    while rest:
        kept = 'kept="$kept"' if lines else "kept="
        length = next(count for count in range(most, 0, -1) if len(kept + shlex.quote(rest[:count])) < most)
        lines.append(kept + shlex.quote(rest[:length]))
        rest = rest[length:]
    return [*lines, 'eval "$kept"']


def archive(files: Mapping[str, tuple[int, bytes]], console: str = "dev/console") -> bytes:
    """Return a cpio archive ("newc") of `files` (mode and contents by name) and of a device node for the console."""
    entries = [(name, mode, contents, (0, 0)) for name, (mode, contents) in files.items()]
    entries.append((console, stat.S_IFCHR | 0o600, b"", (5, 1)))
    entries.append(("TRAILER!!!", 0, b"", (0, 0)))
    packed = b""
    for inode, (name, mode, contents, device) in enumerate(entries, 1):
        text = name.encode() + b"\0"
        fields = (inode, mode, 0, 0, 1, 0, len(contents), 0, 0, *device, len(text), 0)
        for part in (b"070701" + b"".join(b"%08x" % each for each in fields) + text, contents):
            packed += part + b"\0" * (-len(part) % 4)
    return packed


@cache
def initramfs(
    modules: tuple[Path, ...] = (), init: str = INIT, architecture: str = "arm64", own: tuple[Path, ...] = ()
) -> bytes:
    """Return busybox with `init` as its script, `modules`, which `INIT` loads, and programs of our `own` in /bin."""
    folders = dict.fromkeys(("bin", "dev", "lib", "proc", "sys"), (stat.S_IFDIR | 0o755, b""))
    programs = {"bin/busybox": busybox(architecture).read_bytes(), "init": init.encode()}
    programs |= {f"lib/{each.name}": each.read_bytes() for each in modules}
    programs |= {f"bin/{each.stem}": each.read_bytes() for each in own}
    return archive({**folders, **{name: (stat.S_IFREG | 0o755, text) for name, text in programs.items()}})


class Stub:
    """A raw client of QEMU's gdbstub, for as long as the connection lasts; connecting stops the guest."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(20)
        self._socket.connect(str(path))
        self._pending = b""

    def close(self) -> None:
        self._socket.close()

    def ask(self, packet: str) -> str:
        """Send a packet and give the answer to it."""
        self._socket.sendall(f"${packet}#{sum(packet.encode()) & 0xFF:02x}".encode())
        return self._answer()

    def _answer(self) -> str:
        """Return the next packet that is not the unasked stop reply which QEMU sends to a new client."""
        while True:
            found = re.search(rb"\$([^#]*)#..", self._pending, re.DOTALL)
            if found is None:
                data = self._socket.recv(1 << 16)
                if not data:
                    raise Unavailable("QEMU has closed the gdbstub's connection")
                self._pending += data
                continue
            self._pending = self._pending[found.end() :]
            if found[1][:1] != b"O":
                # What a monitor says is sent without looking for answers, of which a socket takes some hundred.
                self._socket.sendall(b"+")
            answer = re.sub(rb"}(.)", lambda escaped: bytes([escaped[1][0] ^ 0x20]), found[1], flags=re.DOTALL).decode()
            if not answer.startswith("T"):
                return answer

    def monitor(self, line: str) -> str:
        """Run a command of QEMU's human monitor; this way takes a seventh of the time that QMP does."""
        answer, said = self.ask(f"qRcmd,{line.encode().hex()}"), ""
        while answer[:1] == "O" and answer != "OK":
            said += bytes.fromhex(answer[1:]).decode()
            answer = self._answer()
        return said

    def document(self, name: str) -> str:
        """Return one document of the target's description."""
        text = ""
        while True:
            answer = self.ask(f"qXfer:features:read:{name}:{len(text):x},7f0")
            text += answer[1:]
            if answer[:1] != "m":
                return text

    def numbers(self) -> Iterator[tuple[str, int]]:
        """Yield the name and number of each register of at most 64 bits, in the order of the target's description."""
        number = 0
        for included in re.findall(r'<xi:include href="([^"]+)"', self.document("target.xml")):
            described = re.sub(r"<!--.*?-->", "", self.document(included), flags=re.DOTALL)
            for text in re.findall(r"<reg ([^>]*)>", described):
                said = dict(re.findall(r'(\w+)="([^"]*)"', text))
                number = int(said.get("regnum", number))
                if int(said["bitsize"]) <= WIDEST_BITS:
                    yield said["name"], number
                number += 1

    def registers(self, cpu: int = 0) -> dict[str, int]:
        """Return every register of at most 64 bits of a CPU, by its architectural name."""
        self.ask(f"Hg{cpu + 1:x}")
        values = {}
        for name, number in self.numbers():
            answer = self.ask(f"p{number:x}")
            with suppress(ValueError):
                values[REGISTER_NAMES.get(name, name)] = int.from_bytes(bytes.fromhex(answer), "little")
        return values


@dataclass
class LinuxGuest:
    """A booted guest with a shell on its serial port; leave the `with` block and it is gone.

    With `virtualization`, the CPU has EL2, where a kernel stays that can use VHE.  `boot_seconds` says how long it
    took until the shell was there.
    """

    architecture: ClassVar[str] = "arm64"
    machine: ClassVar[str] = "virt"
    console: ClassVar[str] = "ttyAMA0"
    ram_base: ClassVar[int] = RAM
    patience_seconds: ClassVar[int] = 120
    """How long it may take until its shell is there, on a machine that is busy."""
    unread_characters: ClassVar[int | None] = None
    """How many characters its console keeps until the shell reads them, where it then drops what comes."""

    kernel: Path
    cpu: str = "cortex-a57"
    virtualization: bool = False
    memory_bytes: int = 256 << 20
    qemu: Qemu = field(default_factory=lambda: qemu("system"))
    kaslr: bool = True
    append: str = ""
    extra: Sequence[str] = ()
    modules: tuple[Path, ...] = ()
    programs: tuple[Path, ...] = ()
    boot_seconds: float = field(default=0, init=False)
    _stub: Stub | None = field(default=None, init=False, repr=False)

    def __enter__(self) -> LinuxGuest:
        self._folder = tempfile.TemporaryDirectory(prefix="gdbtools-linux-")
        folder = Path(self._folder.name)
        self._output = b""
        shell = initramfs(self.modules, architecture=self.architecture, own=self.programs)
        (folder / "initramfs").write_bytes(shell)
        with (folder / "ram").open("w+b") as file:
            file.truncate(self.memory_bytes)
            self.ram = mmap.mmap(file.fileno(), self.memory_bytes)
        started = time.monotonic()
        with (folder / "stderr").open("wb") as stderr:
            self._process = subprocess.Popen(
                self._command(folder), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, bufsize=0
            )
        try:
            self._until(READY, self.patience_seconds)
            self.boot_seconds = time.monotonic() - started
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        if self._stub is not None:
            self._stub.close()
        self.ram.close()
        self._folder.cleanup()

    def _command(self, folder: Path) -> list[str]:
        machine = f"{self.machine},memory-backend=ram" + (",virtualization=on" if self.virtualization else "")
        backend = f"memory-backend-file,id=ram,size={self.memory_bytes},mem-path={folder / 'ram'},share=on"
        shape = ["-M", machine, "-cpu", self.cpu, "-m", f"{self.memory_bytes >> 20}M", "-object", backend]
        ports = ["-chardev", "stdio,id=serial,signal=off", "-serial", "chardev:serial"]
        ports += ["-monitor", "none", "-gdb", f"unix:{self.gdbstub},server=on,wait=off"]
        append = f"console={self.console} quiet panic=-1" + ("" if self.kaslr else " nokaslr") + f" {self.append}"
        boot = ["-kernel", str(self.kernel), "-initrd", str(folder / "initramfs"), "-append", append]
        devices = ["-nic", "none", "-display", "none", "-no-reboot"]
        return [*DIES_WITH_PARENT, *self.qemu.command, *shape, *devices, *ports, *boot, *self.extra]

    @property
    def gdbstub(self) -> Path:
        return Path(self._folder.name) / "gdb"

    def _until(self, marker: str, seconds: float) -> str:
        """Return what the guest prints up to a line that begins with `marker`, which has to be a whole one."""
        assert self._process.stdout is not None
        pattern = re.compile(rb"(?:^|\n)" + marker.encode() + rb"[^\n]*\n")
        deadline = time.monotonic() + seconds
        while (found := pattern.search(self._output, max(0, len(self._output) - (1 << 17)))) is None:
            ready, _, _ = select.select([self._process.stdout], [], [], max(0, deadline - time.monotonic()))
            data = self._process.stdout.read(1 << 16) if ready else b""
            if not data:
                wrote = (Path(self._folder.name) / "stderr").read_text(errors="replace").splitlines()
                # A kernel's last words are a trace, and why it panicked is in front of that.
                said = [*self._output.decode(errors="replace").splitlines()[-60:], *wrote[-8:]]
                why = "said nothing for too long" if not ready else "has ended"
                raise Unavailable(f"{self.kernel.name} on {self.cpu} {why}; its last words: {' / '.join(said)}")
            self._output += data.replace(b"\r", b"")
        before, self._output = self._output[: found.start()], self._output[found.end() :]
        return before.decode(errors="replace").strip("\n")

    def run(self, line: str, seconds: float = 60) -> str:
        """Run one line of shell in the guest, which is not stopped, and give what it printed."""
        assert self._process.stdin is not None
        for each in typed(line, self.unread_characters):
            self._process.stdin.write(each.encode() + b"\n")
            said = self._until(END, seconds)
        return said

    @contextmanager
    def process(self, line: str) -> Iterator[int]:
        """Keep a shell's command running in the guest and give its process number, once it has its own memory."""
        started = "until tr '\\0' ' ' < /proc/$!/cmdline | grep -qv /init; do :; done"
        pid = int(self.run(f"sh -c {shlex.quote(line)} & {started}; echo $!"))
        try:
            yield pid
        finally:
            self.run(f"kill -9 {pid}; wait {pid} 2>/dev/null")

    def stop(self) -> None:
        """Hold the guest: QEMU stops it as soon as its gdbstub has a client."""
        self._stub = Stub(self.gdbstub)
        self._stub.ask("Hg0")

    def cont(self) -> None:
        """Let a stopped guest go on."""
        if self._held.ask("D") != "OK":
            # A GDB that was attached before has told QEMU that there are several processes: it is the first.
            assert self._held.ask("D;1") == "OK"
        self._held.close()
        self._stub = None

    @property
    def _held(self) -> Stub:
        assert self._stub is not None, "the guest is not stopped"
        return self._stub

    @contextmanager
    def stopped(self, pid: int | None = None, el: int | None = None, seconds: float = 20) -> Iterator[dict[str, int]]:
        """Hold the guest, in a process's own code or else at an exception level, and give its registers.

        The stack is mapped then: on entry to a kernel that hides itself from EL0, nothing of it is yet.
        """
        stacks = [area for area in areas(self, pid) if area.name == "[stack]"] if pid is not None else []
        deadline = time.monotonic() + seconds
        self.stop()
        while not self._settled(0 if stacks else el, stacks):
            self.cont()
            if time.monotonic() > deadline:
                raise Unavailable(f"the guest was not seen in process {pid} or at EL{el} in {seconds} s")
            time.sleep(0.01)
            self.stop()
        try:
            yield self.registers()
        finally:
            self.cont()

    def _settled(self, el: int | None, stacks: Sequence[Area]) -> bool:
        registers = self.registers()
        at, sp = registers["cpsr"] >> 2 & 0b11, registers["sp"]
        if el is None:
            return True
        return at == el and self.gva2gpa(sp) is not None and all(area.first <= sp < area.end for area in stacks)

    def dump(self, path: Path, form: str = "") -> None:
        """Have QEMU write a dump of the guest, which it stops for that; `form` is an option of `dump-guest-memory`."""
        self.stop()
        try:
            said = self._held.monitor(f"dump-guest-memory {form} {path}".replace("  ", " ")).strip()
        finally:
            self.cont()
        if said:
            raise Unavailable(f"QEMU said of the dump: {said}")

    def registers(self, cpu: int = 0) -> dict[str, int]:
        """Return the registers of a CPU of a stopped guest, by their architectural names."""
        return self._held.registers(cpu)

    def read(self, pa: int, size_bytes: int) -> bytes:
        """Return physical memory; only RAM can be read."""
        at = pa - self.ram_base
        if not 0 <= at <= self.memory_bytes - size_bytes:
            raise Unreadable(pa, size_bytes, f"RAM is {self.ram_base:#x} to {self.ram_base + self.memory_bytes:#x}")
        return self.ram[at : at + size_bytes]

    def monitor(self, line: str) -> str:
        """Run a command of QEMU's human monitor on a stopped guest, and return what it says."""
        return self._held.monitor(line)

    def gva2gpa(self, va: int) -> int | None:
        """Ask QEMU's own walker of a stopped guest, as a load by the CPU as it is; None where it says `Unmapped`."""
        said = self._held.monitor(f"gva2gpa {va:#x}")
        found = re.match(r"gpa: (?:0x)?([0-9a-f]+)", said)
        if found is None and "Unmapped" not in said:
            raise Unavailable(f"gva2gpa said {said!r}")
        return int(found[1], 16) if found else None


@dataclass(frozen=True)
class Area:
    """A line of /proc/PID/maps."""

    first: int
    end: int
    rights: str
    name: str


def areas(guest: LinuxGuest, pid: int) -> list[Area]:
    """Return a process's own account of its address space."""
    found = re.findall(r"^(\w+)-(\w+) (\S+) \S+ \S+ \S+ *(.*)$", guest.run(f"cat /proc/{pid}/maps"), re.MULTILINE)
    return [Area(int(first, 16), int(end, 16), rights, name) for first, end, rights, name in found]


def pagemap(guest: LinuxGuest, pid: int, area: Area, page_bytes: int) -> dict[int, int]:
    """Return by page address what /proc/PID/pagemap says of an area's pages: a 64-bit word each."""
    first, count = area.first // page_bytes, (area.end - area.first) // page_bytes
    read = f"dd if=/proc/{pid}/pagemap bs=8 skip={first} count={count} 2>/dev/null"
    words = guest.run(rf"""{read} | hexdump -v -e '1/4 "%08x" 1/4 " %08x\n"'""").splitlines()
    halves = ([int(half, 16) for half in line.split()] for line in words)
    return {area.first + at * page_bytes: high << 32 | low for at, (low, high) in enumerate(halves)}


@contextmanager
def filling(guest: LinuxGuest, buffer_mb: int, page_bytes: int) -> Iterator[dict[int, int]]:
    """Keep a process filling a buffer; yields where its own pagemap says that each of its present pages is."""
    with guest.process(f"exec dd if=/dev/zero of=/dev/null bs={buffer_mb}M") as pid:
        resident = f"$(awk '/VmRSS/ {{ print $2 }}' /proc/{pid}/status)"
        guest.run(f"until test {resident} -gt {buffer_mb << 10}; do :; done")
        said = {va: word for area in areas(guest, pid) for va, word in pagemap(guest, pid, area, page_bytes).items()}
        yield {va: (word & FRAME) * page_bytes for va, word in said.items() if word & PRESENT}


def translated(
    guest: LinuxGuest,
    frames: Mapping[int, int],
    mapped: Callable[[], Mapping[int, int]],
    by_walk: Callable[[], dict[int, int]],
    tries: int,
) -> tuple[dict[int, int], dict[int, int]]:
    """Return what `mapped` and `by_walk` have of the pages in `frames`, at a stop that finds their process.

    Or the kernel on its behalf.  The second is empty where no stop did.
    """
    own: dict[int, int] = {}
    walked: dict[int, int] = {}
    for _ in range(tries):
        guest.stop()
        found = mapped()
        own = {va: found[va] for va in frames if va in found}
        if own.keys() == frames.keys():
            walked = by_walk()
        guest.cont()
        if walked:
            break
    return own, walked
