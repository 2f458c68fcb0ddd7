"""Write crash logs in the shape of systems that no package has, each beside a capture of the same moment.

    python -m tests.guests.shape_logs [NAME...]

The faults are those of the guest in fixtures/guests/verdicts; what the lines say of them is read through QEMU's stub
and in the guest's own tables, without gdbtools.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from gdbtools.children.mi import Gdb
from gdbtools.children.processes import find_gdb
from tests.guests.crash_logs import LOGS
from tests.live.session import INIT
from tests.live.verdicts import Planted, planted

WORD: Final = (1 << 64) - 1
DATA_ABORT, FETCH_ABORT = 0x25, 0x21
EDK2_ROWS: Final = tuple(range(0, 29, 4))


def _read(live: Planted, *names: str) -> Iterator[int]:
    for name in names:
        yield live.register(name) & WORD


def zephyr(live: Planted) -> Iterator[str]:
    """Yield what Zephyr 4 prints in a build with its exceptions' details and their walks."""
    esr, far, elr, root = _read(live, "ESR_EL1", "FAR_EL1", "ELR_EL1", "TTBR0_EL1")
    said = {DATA_ABORT: "Data Abort", FETCH_ABORT: "Instruction Abort"}[esr >> 26]
    yield f"ELR_ELn: {elr:#018x}"
    yield f"ESR_ELn: {esr:#018x}"
    yield f"  EC:  {esr >> 26:#x} ({said} taken without a change in Exception level)"
    yield f"  IL:  {esr >> 25 & 1:#x}"
    yield f"  ISS: {esr & (1 << 25) - 1:#x}"
    yield f"FAR_ELn: {far:#018x}"
    yield f"PTE walk for {far:#x} (TTBR0={root:#x})"
    for level in range(4):
        pa = live.descriptor_address(far, level)
        entry = live.descriptor(pa)
        yield f"  L{level}[{far >> 39 - 9 * level & 511}] @ {pa:#x} = {entry:#018x}"
        if entry & 0b11 != 0b11:
            break
    yield "TPIDRRO: 0x0000000000000000"
    for number in range(0, 18, 2):
        first, second = _read(live, f"x{number}", f"x{number + 1}")
        yield f"{f'x{number}:':4} {first:#018x}  {f'x{number + 1}:':4} {second:#018x}"
    last, link = _read(live, "x18", "x30")
    yield f"x18: {last:#018x}  lr:  {link:#018x}"
    yield ">>> ZEPHYR FATAL ERROR 0: CPU exception on CPU 0"
    yield "Current thread: 0x40012340 (main)"
    yield "Halting system"


def edk2(live: Planted) -> Iterator[str]:
    """Yield what edk2 prints in a build for debugging."""
    esr, far, elr, spsr, sp = _read(live, "ESR_EL1", "FAR_EL1", "ELR_EL1", "SPSR_EL1", "sp")
    for _ in range(2):
        yield f"Synchronous Exception at 0x{elr:016X}"
    yield f"PC 0x{elr:012X} (0x{elr & ~0xFFF:012X}+0x{elr & 0xFFF:08X}) [ 0] Verdicts.dll"
    for row in EDK2_ROWS[:-1]:
        values = _read(live, *(f"x{row + each}" for each in range(4)))
        yield "  ".join(f"{f'X{row + each}':>3} 0x{value:016X}" for each, value in enumerate(values))
    last, frame, link = _read(live, "x28", "x29", "x30")
    yield f"X28 0x{last:016X}   FP 0x{frame:016X}   LR 0x{link:016X}"
    yield f" SP 0x{sp:016X}  ELR 0x{elr:016X}  SPSR 0x{spsr:08X}  FPSR 0x00000000"
    yield f"ESR 0x{esr:08X}          FAR 0x{far:016X}"
    yield f"ESR : EC 0x{esr >> 26:02X}  IL 0x{esr >> 25 & 1:X}  ISS 0x{esr & (1 << 25) - 1:08X}"


SHAPES: Final[Mapping[str, tuple[str, Callable[[Planted], Iterator[str]]]]] = {
    "zephyr-invalid": ("invalid_page", zephyr),
    "zephyr-read-only": ("read_only", zephyr),
    "zephyr-execute": ("privileged_execute_never", zephyr),
    "edk2-debug-invalid": ("invalid_table", edk2),
    "edk2-debug-read-only": ("read_only", edk2),
}
"""Of each log, what the guest is to do, and whose lines tell of it."""


def main(names: list[str]) -> None:
    with Gdb(find_gdb(""), INIT) as gdb:
        for name in names or SHAPES:
            scenario, shape = SHAPES[name]
            with planted(gdb, scenario) as live:
                live.to_fault()
                (LOGS / f"{name}.core").unlink(missing_ok=True)
                live.say(f"mmu capture {LOGS / name}.core --tables touched")
                (LOGS / f"{name}.log").write_text("".join(f"{line}\n" for line in shape(live)))


if __name__ == "__main__":
    main(sys.argv[1:])
