"""A real Xen under QEMU that builds small guests by itself, from its device tree, with no dom0 (dom0less)."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from elftools.elf.elffile import ELFFile

from gdbtools.children.processes import Qemu, find_qemu
from gdbtools.machine.symbols import symbol_values
from tests.device_trees import Node, node, value, with_nodes
from tests.guests.packages import xen
from tests.places import ROOT

SET_WAY_GUEST = ROOT / "fixtures/guests/set_way/set_way.elf"
MACHINE, MEMORY = "virt,virtualization=on,gic-version=3", "512M"
GUEST_BYTES = 128 << 20
IMAGES_AT, IMAGE_SPACE = 0x5000_0000, 0x10_0000
"""Where QEMU puts the guests' images, and how far apart."""


def image(**values: int) -> bytes:
    """Return the guest as Xen loads it, with other values of its variables."""
    with SET_WAY_GUEST.open("rb") as stream:
        (segment,) = ELFFile(stream).iter_segments("PT_LOAD")
        first, data = segment["p_vaddr"], bytearray(segment.data())
    for name, what in values.items():
        at = symbol_values(SET_WAY_GUEST)[name] - first
        data[at : at + 8] = what.to_bytes(8, "little")
    return bytes(data)


def _domain(number: int, size_bytes: int, arguments: str) -> Node:
    at = IMAGES_AT + number * IMAGE_SPACE
    module = node(f"module@{at:x}", reg=(0, at, 0, size_bytes), **({"bootargs": arguments} if arguments else {}))
    module.properties["compatible"] = b"multiboot,kernel\0multiboot,module\0"
    return node(
        f"domU{number + 1}",
        module,
        compatible="xen,domain",
        cells_address=2,
        cells_size=2,
        memory=(0, GUEST_BYTES >> 10),
        cpus=1,
        **({"vpl011": None} if arguments else {}),
    )


@contextmanager
def domains(cpu: str, images: Sequence[bytes], arguments: str = "", options: Sequence[str] = ()) -> Iterator[Qemu]:
    """Yield a Xen before its first instruction, which will have one guest for each image; `options` are QEMU's.

    Those that are handed `arguments` have a serial port, too.
    """
    with tempfile.TemporaryDirectory(prefix="gdbtools-xen-") as folder:
        tree = Path(folder) / "tree"
        shape = ["-cpu", cpu, "-m", MEMORY, "-display", "none"]
        dump = [find_qemu(), "-M", f"{MACHINE},dumpdtb={tree}", *shape]
        subprocess.run(dump, check=True, capture_output=True, timeout=120)
        chosen = node("chosen", *(_domain(number, len(each), arguments) for number, each in enumerate(images)))
        chosen.properties["xen,xen-bootargs"] = value("console=dtuart dtuart=serial0 sync_console")
        chosen.properties["stdout-path"] = value("/pl011@9000000")
        tree.write_bytes(with_nodes(tree.read_bytes(), "chosen", chosen))
        extra = ["-m", MEMORY, "-dtb", str(tree), *options]
        for number, each in enumerate(images):
            file = Path(folder) / f"image{number}"
            file.write_bytes(each)
            extra += ["-device", f"loader,file={file},addr={IMAGES_AT + number * IMAGE_SPACE:#x},force-raw=on"]
        with Qemu(xen(), cpu=cpu, machine=MACHINE, extra=extra) as qemu:
            yield qemu
