"""Physical memory protection: pmpcfg and pmpaddr, each as one register and entry by entry.

Source: The RISC-V Privileged Architecture, "Physical Memory Protection CSRs", and Smepmp.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gdbtools.bits import Field, Word

ENTRIES: Final = 64
OFF, TOR, NA4, NAPOT = range(4)


class PmpConfiguration(Word):
    """One entry's eight bits of a pmpcfg register."""

    width = 8
    L = Field(7, doc="locked; with mseccfg.MML, of M-mode only")
    A = Field((4, 3), doc="how it matches", values={OFF: "OFF", TOR: "TOR", NA4: "NA4", NAPOT: "NAPOT"})
    X = Field(2, doc="permits execution")
    W = Field(1, doc="permits writes")
    R = Field(0, doc="permits reads")


_SAID: Final = {
    letter | permissions: f"{'locked, ' if letter else ''}{name}"
    + "".join(c if permissions & bit else "-" for c, bit in (("r", 1), ("w", 2), ("x", 4)))
    for letter in (0, 0x80)
    for name, mode in (("TOR ", TOR), ("NA4 ", NA4), ("NAPOT ", NAPOT))
    for permissions in (mode << 3 | rights for rights in range(8))
}


def holder(entry: int, bits: int) -> tuple[str, int]:
    """Return the register that an entry's configuration is in, and its place there.

    Where XLEN is 64 the odd-numbered registers do not exist.
    """
    number, place = divmod(entry, bits // 8)
    return f"pmpcfg{number * (bits // 32)}", place


def configuration_field(entry: int, bits: int) -> Field:
    """Return where its register has an entry's configuration."""
    place = holder(entry, bits)[1]
    return Field((8 * place + 7, 8 * place), doc=f"entry {entry}", name=f"pmp{entry}cfg", values=_SAID)


def _configurations(first: int, bits: int) -> type[Word]:
    fields: dict[str, object] = {"__doc__": "Physical Memory Protection: configurations.", "width": bits}
    for entry in range(first, first + bits // 8):
        fields[f"pmp{entry}cfg"] = configuration_field(entry, bits)
    return type(f"PMPCFG{first}OF{bits}", (Word,), fields)


def declared(bits: int) -> Mapping[str, type[Word]]:
    """Return the registers of physical memory protection by name, where MXLEN is `bits`."""
    address = Field(
        (bits - 1 if bits == 32 else 53, 0),
        doc="TOR: where a range ends; NA4: it; NAPOT: its last ones say the size",
        scale=4,
    )
    register = type(f"PMPADDR{bits}", (Word,), {
        "__doc__": "Physical Memory Protection: an address.", "width": bits, "address": address,
    })  # fmt: skip
    configured = {holder(first, bits)[0]: _configurations(first, bits) for first in range(0, ENTRIES, bits // 8)}
    return {**configured, **{f"pmpaddr{entry}": register for entry in range(ENTRIES)}}
