"""A real Xen with two guests: a Linux dom0 that has the shell, and a Linux that Xen itself started (dom0less).

The second one tells of one process, which it then runs for ever: where its data is, in its own frames.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from gdbtools.addresses import PA
from gdbtools.arch import ARCHITECTURES
from gdbtools.commands import COMMANDS
from gdbtools.commands.answering import query, respond
from gdbtools.commands.arguments import OUTPUT
from gdbtools.commands.session import Session
from gdbtools.errors import Unavailable
from gdbtools.machine.layers import FixedRegisters, MemoryRange, Ranges
from gdbtools.machine.model import Cpu, Machine
from tests.device_trees import Node, node, with_nodes
from tests.guests.linux import initramfs
from tests.guests.xen import XenGuest

DOMU, PAGE_BYTES = "DOM1", 4096
"""What Xen puts before each line of the domU's, and the size of its pages."""
DOMU_BYTES = 96 << 20
DOMU_KERNEL_AT, DOMU_INITRD_AT = 0x6800_0000, 0x6C00_0000
MARK, TOLD = "gdbtools-was-here-0123456789", "told all"
INIT = f"""#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
MARK={MARK}
KEPT="$MARK$MARK$MARK$MARK"
area=$(grep '\\[heap\\]' /proc/1/maps)
echo "area $area"
first=${{area%%-*}}
rest=${{area#*-}}
end=${{rest%% *}}
skip=$((0x$first / 4096))
count=$((0x$end / 4096 - skip))
dd if=/proc/1/pagemap bs=8 skip=$skip count=$count 2>/dev/null | hexdump -v -e '1/4 "word %08x" 1/4 " %08x\\n"'
echo "{TOLD}"
while :; do :; done
"""


@dataclass
class XenPair(XenGuest):
    """Xen with dom0 and a domU; `heap` has the domU's frame of each page of its process that has one."""

    patience_seconds: ClassVar[int] = 300
    """Two of them boot at once."""

    cpus: int = 1
    heap: dict[int, int] = field(default_factory=dict, init=False)
    _heard: list[str] = field(default_factory=list, init=False, repr=False)

    def _command(self, folder: Path) -> list[str]:
        command = [*super()._command(folder), "-smp", str(self.cpus)]
        tree, initrd = folder / "tree", folder / "domu"
        initrd.write_bytes(initramfs(init=INIT))
        at = command.index("-M") + 1
        dumped = [*command[:at], f"{command[at]},dumpdtb={tree}", *command[at + 1 :]]
        subprocess.run(dumped, check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=120)
        domain = node(
            "domU1",
            _module("kernel", DOMU_KERNEL_AT, self.kernel.stat().st_size, "console=ttyAMA0 quiet rdinit=/init"),
            _module("ramdisk", DOMU_INITRD_AT, initrd.stat().st_size),
            compatible="xen,domain",
            cells_address=2,
            cells_size=2,
            memory=(0, DOMU_BYTES >> 10),
            cpus=1,
            vpl011=None,
        )
        tree.write_bytes(with_nodes(tree.read_bytes(), "chosen", node("chosen", domain)))
        for file, address in ((self.kernel, DOMU_KERNEL_AT), (initrd, DOMU_INITRD_AT)):
            command += ["-device", f"loader,file={file},addr={address:#x},force-raw=on"]
        return [*command, "-dtb", str(tree)]

    def __enter__(self) -> XenPair:
        super().__enter__()
        try:
            self._hear()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _until(self, marker: str, seconds: float) -> str:
        """Keep what the domU says apart from what dom0 does: they share a console, line by line."""
        said = super()._until(marker, seconds)
        self._heard += [line for line in said.splitlines() if DOMU in line]
        return "\n".join(line for line in said.splitlines() if DOMU not in line)

    def _hear(self) -> None:
        """Wait for what the domU tells of itself."""
        deadline = time.monotonic() + self.patience_seconds
        while not any(TOLD in line for line in self._heard):
            if time.monotonic() > deadline:
                raise Unavailable(f"the domU of Xen on {self.cpu} said nothing of itself in time")
            time.sleep(1)
            self.run("true")
        told = "\n".join(self._heard)
        area = re.search(r"area ([0-9a-f]+)-", told)
        words = re.findall(r"word ([0-9a-f]{8}) ([0-9a-f]{8})", told)
        if area is None or not words:
            raise Unavailable(f"the domU of Xen on {self.cpu} told nothing that makes sense: {told}")
        for number, (low, high) in enumerate(words):
            word = int(high + low, 16)
            if word >> 63:
                self.heap[int(area[1], 16) + number * PAGE_BYTES] = word & (1 << 55) - 1

    def machine(self) -> Machine:
        """Return the stopped machine as gdbtools has one."""
        ram = MemoryRange(PA(self.ram_base), self.memory_bytes, lambda at, size: self.ram[at : at + size])
        cpus = [Cpu(number, FixedRegisters(self.registers(number), "the gdbstub")) for number in range(self.cpus)]
        return Machine(ARCHITECTURES["aarch64"], Ranges((ram,), "the guest's RAM"), tuple(cpus))

    def ask(self, line: str) -> tuple[dict[str, Any], list[str]]:
        """Ask a stopped machine, and return the one answer and what was assumed for it."""
        name, *words = shlex.split(line)
        asked = query(COMMANDS[name], [*words, "--json"], lambda text: int(text, 0), "mmu", OUTPUT)
        [answer] = respond(asked, Session(self.machine())).lines()
        told = json.loads(answer)
        return told["result"], told.get("assumed", [])


def _module(kind: str, at: int, size_bytes: int, arguments: str = "") -> Node:
    made = node(f"module@{at:x}", reg=(0, at, 0, size_bytes), **({"bootargs": arguments} if arguments else {}))
    made.properties["compatible"] = f"multiboot,{kind}\0multiboot,module\0".encode()
    return made
