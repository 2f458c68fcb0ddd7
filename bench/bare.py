"""The bare protocol: what one connection to the stub can do, without GDB and without Python's share in it.

`serial` sends the plain loop's own 12 packets a fault, one after another: 4 registers, physical mode on, 4 descriptors
and the write, physical mode off, pc, continue.  That is the ceiling of everything that asks before it goes on.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path

from gdbtools.children.processes import Qemu
from gdbtools.machine.live.gdbstub import StubLost, Wire, register_numbers
from gdbtools.machine.symbols import symbol_values

ACCESS_FLAG = 1 << 10
ENTRIES = (0, 0x200, 0x400, 0x600)
ROOT = 0xFFFFFFFFF000
REGISTERS = ("ESR_EL1", "FAR_EL1", "TTBR0_EL1", "TTBR1_EL1")


def number(answer: bytes) -> int:
    return int.from_bytes(bytes.fromhex(answer.decode()), "little")


def serial(guest: Path, rounds: int) -> tuple[int, float]:
    """Return how many faults were repaired, and in how many seconds, until the guest was gone."""
    symbols = symbol_values(guest)
    with Qemu(guest) as qemu, socket.socket(socket.AF_UNIX) as connected:
        connected.connect(str(qemu.gdbstub))
        wire = Wire(connected)
        wire.ask(["?"])
        numbers = register_numbers(wire)
        value = rounds.to_bytes(8, "little").hex()
        wire.ask(["Qqemu.PhyMemMode:1", f"M{symbols['rounds']:x},8:{value}", "Qqemu.PhyMemMode:0"])
        wire.ask([f"Z1,{symbols['vectors'] + offset:x},4" for offset in ENTRIES])
        pc = f"P{numbers['pc']:x}={symbols['exception_return'].to_bytes(8, 'little').hex()}"
        faults = 0
        began = started = 0.0
        try:
            while True:
                wire.send(["vCont;c"])
                wire.answer()
                # From the first fault on, as the others are measured.
                began = began or time.monotonic()
                started = time.monotonic()
                repair(wire, numbers)
                wire.ask([pc])
                faults += 1
        except StubLost:
            return faults, started - began


def repair(wire: Wire, numbers) -> None:
    _, far, ttbr0, ttbr1 = (number(wire.ask([f"p{numbers[name]:x}"])[0]) for name in REGISTERS)
    wire.ask(["Qqemu.PhyMemMode:1"])
    table = (ttbr1 if far >> 55 & 1 else ttbr0) & ROOT
    for shift in (39, 30, 21, 12):
        at = table + (far >> shift & 0x1FF) * 8
        entry = number(wire.ask([f"m{at:x},8"])[0])
        if shift == 12 or not entry & 2:
            wire.ask([f"M{at:x},8:{(entry | ACCESS_FLAG).to_bytes(8, 'little').hex()}"])
            break
        table = entry & ROOT
    wire.ask(["Qqemu.PhyMemMode:0"])
