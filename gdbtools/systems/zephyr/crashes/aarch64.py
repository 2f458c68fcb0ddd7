"""What Zephyr prints on AArch64 of a fatal exception: its registers, and in some builds a walk of the address.

    E: ELR_ELn: 0x0000000040001234
    E: ESR_ELn: 0x0000000096000046
    E: FAR_ELn: 0x0000000000000010
    E: PTE walk for 0x10 (TTBR0=0x40010000)
    E: L1[0] @ 0x40010000 = 0x0000000040011003

Which level took the exception is not printed: `n` stands for it.

Source: Zephyr, `arch/arm64/core/fatal.c` (z_arm64_fatal_error) and `arch/arm64/core/mmu.c`, of 2.x to 4.x.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from gdbtools.addresses import PA, VA
from gdbtools.arch.aarch64.registers.processor_state import SPSR
from gdbtools.arch.aarch64.registers.translation import SCTLR, TCR_EL1
from gdbtools.arch.aarch64.syndrome import decode
from gdbtools.arch.aarch64.translation import regimes
from gdbtools.arch.model import Regime, written_down
from gdbtools.errors import Unavailable
from gdbtools.systems.crash import Crash, CrashFacts, Deduction, Grammar, followed_by_index

_LINES: Final = {
    "elr": re.compile(r"\bELR_ELn: 0x([0-9a-f]{1,16})\b"),
    "esr": re.compile(r"\bESR_ELn: 0x([0-9a-f]{1,16})\b"),
    "far": re.compile(r"\bFAR_ELn: 0x([0-9a-f]{1,16})\b"),
    "class": re.compile(r"\bEC: +0x([0-9a-f]{1,2}) \("),
    "general": re.compile(r"\bx([12]?\d): +0x([0-9a-f]{16})\b"),
    "lr": re.compile(r"\blr: +0x([0-9a-f]{16})\b"),
    "walk": re.compile(r"\bPTE walk for (?:0x)?([0-9a-f]{1,16}) \(TTBR0=(?:0x)?([0-9a-f]{1,16})\)"),
    "entry": re.compile(r"\bL([0-3])\[(?:0x)?([0-9a-f]{1,4})\] @ (?:0x)?([0-9a-f]{1,16}) = (?:0x)?([0-9a-f]{1,16})\b"),
    "fatal": re.compile(r">>> ZEPHYR FATAL ERROR (\d+): (.*)"),
}
_MOST_BITS: Final = {0: 48, 1: 39, 2: 30}
"""By the level that a walk begins at, with pages of 4 KiB, the most bits that an address may have."""
_TCR: Final = TCR_EL1(0).with_(TG0=0b00, SH0=0b11, ORGN0=1, IRGN0=1, EPD1=1, IPS=0b101)
_SCTLR: Final = SCTLR(0).with_(M=1, C=1, I=1)
_LEVEL: Final = SPSR(0).with_(M=0b0101, D=1, A=1, I=1, F=1)


def crash(facts: CrashFacts) -> Crash | None:
    """Return what the lines of a fatal exception come to; None where no register was printed."""
    syndrome, address = facts.number("esr"), facts.number("far")
    if syndrome is None and not facts.all("walk"):
        return None
    deduced = Deduction({"cpsr": int(_LEVEL)})
    deduced.say("cpsr", "the exception was taken to EL1: Zephyr says ELn for it")
    stated = {f"x{number}": int(value, 16) for number, value in facts.all("general")}
    found = {"ESR_EL1": syndrome, "FAR_EL1": address, "ELR_EL1": facts.number("elr"), "x30": facts.number("lr")}
    stated |= {name: value for name, value in found.items() if value is not None}
    descriptors = _walked(facts, stated, deduced)
    fatal, at = facts.first("fatal"), stated.get("ELR_EL1")
    return Crash(
        system="Zephyr on AArch64",
        line=facts.line,
        title=facts.title,
        architecture="aarch64",
        stated=stated,
        deduced=deduced.derived,
        descriptors=descriptors,
        where="" if at is None else f"{at:#x}",
        told=() if fatal is None else (("ends with", f"fatal error {fatal[0]}, {fatal[1]}"),),
        doubts=tuple(deduced.doubts),
        wanted=tuple(_wanted(facts, syndrome, address)),
    )


GRAMMAR: Final = Grammar(
    signs=("ELR_ELn: 0x", "ESR_ELn: 0x"),
    begins=(("elr", "esr"),),
    lines=_LINES,
    ends=re.compile(r"\bHalting system\b"),
    crash=crash,
)


def _walked(facts: CrashFacts, stated: dict[str, int], deduced: Deduction) -> Mapping[PA, int]:
    """Return where the entries of the printed walk lie; their addresses, levels and indices are held against it."""
    address, root = facts.number("walk"), facts.number("walk", 1)
    entries = [(int(level), index, int(pa, 16), int(value, 16)) for level, index, pa, value in facts.all("entry")]
    if address is None or root is None or not entries:
        return {}
    stated["TTBR0_EL1"] = root
    deduced.agree("FAR_EL1", address, "the address of the walk", stated)
    bits = _MOST_BITS.get(entries[0][0])
    if bits is None:
        deduced.doubts.append("no walk begins at the level of the first entry")
        return {}
    tcr = int(_TCR.with_(T0SZ=64 - bits))
    deduced.values |= {"TCR_EL1": tcr, "SCTLR_EL1": int(_SCTLR)}
    deduced.say(
        "TCR_EL1", f"TCR_EL1: T0SZ={64 - bits}, TG0=4KB, EPD1=1: the most that a walk from level {entries[0][0]} has"
    )
    deduced.say("SCTLR_EL1", "SCTLR_EL1: M=1, C=1, I=1, WXN=0, without the other bits")
    try:
        regime = regimes.regime_for(written_down({**deduced.values, **stated}), VA(address), "el1")
    except Unavailable:
        return {}
    numbered = [(level, _index(regime, level, index, address), value) for level, index, _, value in entries]
    placed = followed_by_index(regime, VA(address), numbered, deduced)
    if [*placed] != [pa for _, _, pa, _ in entries[: len(placed)]]:
        deduced.doubts.append("the entries are not printed from where the ones before them lead to")
        return {}
    return placed


def _index(regime: Regime, level: int, printed: str, address: int) -> int:
    """Return an index as it is printed: hexadecimal or decimal, whichever is the address's."""
    wanted = {each.number: each.index(address) for each in regime.levels}.get(level)
    read = int(printed, 16)
    return wanted if wanted is not None and printed.isdecimal() and int(printed) == wanted else read


def _wanted(facts: CrashFacts, syndrome: int | None, address: int | None) -> Sequence[str]:
    if syndrome is None:
        return ("the syndrome: the line `ESR_ELn: ...`",)
    decoded = decode(syndrome)
    if decoded.fault is None or not decoded.address_valid:
        return ()
    wanted = [] if address is not None else ["the address: the line `FAR_ELn: ...`"]
    wanted += [] if facts.all("walk") else ["the walk, `PTE walk for ...`, which newer builds print, or a capture"]
    return wanted
