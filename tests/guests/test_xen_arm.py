"""A 32-bit Linux under a real Xen: the set/way maintenance of its boot, and all else that it is trapped for, at EL2.

Debian's armmp kernels still clean and invalidate by set and way: the code that sets up a processor before the MMU is
on, and the kernel once its page tables are made.  The oracles are the kernel's own image, and binutils for Arm.
"""

from __future__ import annotations

import lzma
import re
import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from gdbtools.arch.aarch64.architecture import ARCHITECTURE as ARM
from gdbtools.arch.aarch64.exceptions.agreement_aarch32 import fits
from gdbtools.arch.aarch64.instructions.set_way import operand
from gdbtools.arch.aarch64.registers.identification import CCSIDR
from gdbtools.children.mi import Gdb
from gdbtools.children.processes import find_gdb
from gdbtools.errors import Unavailable
from tests.guests.arm.linux import KERNELS
from tests.guests.packages import kernel, xen
from tests.guests.xen_domains import GUEST_BYTES, domains
from tests.guests.xen_symbols import symbols
from tests.live.session import INIT, INSIDE, Session

pytestmark = [pytest.mark.guest, pytest.mark.full]

CPU, L1_DATA = "cortex-a57", 0x701F_E00A
"""Whose level 1 data cache has 256 sets of 2 lines of 64 bytes, and what CCSIDR_EL1 says of that."""
SETS, WAYS = range(256), range(2)
LOADED_AT, LINEAR = 0x4020_0000, 0xC020_0000
"""Where the decompressor leaves the kernel in the guest's RAM, and the address of that once the MMU is on."""
UART = 0x2200_0000
ENOUGH = 200
"""How many exceptions there are at most between the first set/way maintenance and the first access to the UART."""
DISASSEMBLER = "arm-none-eabi-objdump"
CODE_BYTES = 64


@dataclass
class Boot:
    """What was caught on the way of one kernel."""

    form: str
    image: bytes
    invalidated: dict[int, None] = field(default_factory=dict)
    """What each DCISW was handed, in order."""
    first: Any = None
    with_geometry: Any = None
    census: Any = None
    next_census: Any = None
    trapped: list[Any] = field(default_factory=list)
    """What came between the last of them and the UART, and the word that raised each."""
    words: list[int] = field(default_factory=list)
    uart: Any = None
    cleaned: Any = None
    said: str = ""
    code: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    """Where the code was that maintained by set and way, and what it is in the guest's memory."""


def unpacked(path: Path) -> bytes:
    """Return the kernel that is packed in a zImage, which begins a little behind its own beginning in memory."""
    data = path.read_bytes()
    for found in re.finditer(rb"\xfd7zXZ\0", data):
        try:
            return lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(data[found.start() :])
        except lzma.LZMAError:
            continue
    raise Unavailable(f"{path.name} has no kernel packed by xz")


@pytest.fixture(scope="module", params=KERNELS)
def boot(request: pytest.FixtureRequest, qemu: str) -> Boot:
    try:
        path, hypervisor = kernel(KERNELS[request.param]), xen()
        found = Boot(request.param, unpacked(path))
    except Unavailable as why:
        pytest.skip(str(why))
    arguments = "console=ttyAMA0 earlycon=pl011,0x22000000"
    with domains(CPU, [path.read_bytes()], arguments) as machine, Gdb(find_gdb(), INIT) as gdb:
        session = Session(gdb)
        session.say(f"source {INSIDE}")
        session.say(f"target remote {machine.gdbstub}")
        session.say(f"hbreak *{symbols(hypervisor)['return_to_new_vcpu32']:#x}")
        session.say("continue")
        session.say("delete")
        play(session, found)
    return found


def play(session: Session, found: Boot) -> None:
    session.say("mmu catch set-way")
    found.said += session.say("continue")
    (found.first,) = session.ask("fault")
    (found.with_geometry,) = session.ask(f"fault --with CCSIDR_EL1={L1_DATA:#x}")
    (found.census,) = session.ask("stage2")
    found.code["DCISW"] = code(session)
    at = session.value("$ELR_EL2")
    while session.value("$ELR_EL2") == at:
        # QEMU 7.2 stops twice at one now and then.
        found.invalidated[session.value("$x12")] = None
        if len(found.invalidated) == len(SETS) * len(WAYS):
            break
        found.said += session.say("continue")
    (found.next_census,) = session.ask("stage2")
    session.say("delete")

    session.say("mmu catch exception --regime stage2")
    for _ in range(ENOUGH):
        session.say("continue")
        (fault,) = session.ask("fault")
        if fault["access"] is not None:
            found.uart = fault
            break
        found.trapped.append(fault)
        found.words.append(int.from_bytes(code(session)[1][:4], "little"))
    session.say("delete")

    session.say("mmu catch set-way")
    session.say("continue")
    (found.cleaned,) = session.ask("fault")
    found.code["DCCISW"] = code(session)


def code(session: Session) -> tuple[int, bytes]:
    """Return the address in ELR, and the guest's code from there on by its own tables."""
    at = session.value("$ELR_EL2")
    (walk,) = session.ask(f"walk {at:#x} --regime el1")
    pa = int(walk["output"], 16)
    return at, bytes.fromhex(session.inside(f"peek({pa}, {CODE_BYTES})"))


# --- Set and way.


def test_the_first_is_caught_and_named_with_the_bit_that_traps_it(boot: Boot) -> None:
    asked = "EL1 MCR p15, 0, R12, c7, c6, 2 (DCISW)"
    assert boot.first["sentence"] == (
        f"{asked}: trapped to EL2 by HCR_EL2.TSW=1: not a matter of the translation tables."
    )
    assert (boot.first["current"], boot.first["vector_entry"]) == (True, "lower EL, AArch32")
    fields = {each["name"]: int(each["raw"], 16) for each in boot.first["syndrome"]["fields"]}
    assert (fields["EC"], fields["IL"], fields["CV"], fields["COND"], fields["Rt"]) == (3, 1, 1, 0b1110, 12)


def test_its_register_tells_the_level_and_with_the_caches_shape_set_and_way(boot: Boot) -> None:
    without, operand_ = boot.first["syndrome"]["operand"], boot.with_geometry["syndrome"]["operand"]
    assert [each["meaning"] for each in without["parts"]] == ["L1"]
    assert without["unknown"].endswith("--with CCSIDR_EL1=0x...")
    assert operand_["unknown"] is None
    parts = {each["name"]: int(each["raw"], 16) for each in operand_["parts"]}
    assert (operand_["register"], int(operand_["value"], 16)) == ("R12", next(iter(boot.invalidated)))
    assert (parts["Set"], parts["Way"]) == (SETS[-1], WAYS[-1]), "the kernel counts down"


def test_the_boot_invalidates_each_line_of_the_first_level_once(boot: Boot) -> None:
    lines = [operand(CCSIDR(L1_DATA))(value) for value in boot.invalidated]
    fields = type(lines[0])
    assert {each.Level for each in lines} == {0}
    found = [(fields.field("Set").of(each), fields.field("Way").of(each)) for each in lines]
    assert sorted(found) == sorted(product(SETS, WAYS))


def test_it_is_the_kernels_own_code_that_does_it_before_the_mmu_is_on_and_after(boot: Boot) -> None:
    """The decompressor has some for older cores, and runs none: the first that is trapped is the kernel's."""
    for name, base in (("DCISW", LOADED_AT), ("DCCISW", LINEAR)):
        at, found = boot.code[name]
        offset = at - base - 0x8000
        assert boot.image[offset : offset + CODE_BYTES] == found, f"{name} at {at:#x}"


def test_a_trap_that_comes_again_and_again_is_no_fault_loop(boot: Boot) -> None:
    assert len(boot.invalidated) > 100
    assert "fault loop" not in boot.said


def test_it_is_billed_and_its_virtual_memory_registers_are_trapped_from_then_on(boot: Boot) -> None:
    now, *_ = boot.census["bill"]["mapped"]
    assert (now["size"], now["lines"]) == (GUEST_BYTES, GUEST_BYTES // 64)
    assert boot.census["bill"]["steps"] == now["entries"] == GUEST_BYTES >> 21
    tvm = [
        [each["value"] for each in census["cpus"][0]["traps"] if each["field"] == "TVM"]
        for census in (boot.census, boot.next_census)
    ]
    assert tvm == [[0], [1]]
    # Xen answers with soft-invalid entries, which the guest has gone through again since.
    assert sum(each["leaves"] for each in boot.next_census["leaves"]) == now["entries"]


def test_the_kernel_cleans_by_set_and_way_once_its_tables_are_made(boot: Boot) -> None:
    assert boot.cleaned["syndrome"]["target"] == "DCCISW"
    assert boot.cleaned["sentence"].endswith("trapped to EL2 by HCR_EL2.TSW=1: not a matter of the translation tables.")


# --- Other traps of AArch32 state.


def test_what_it_writes_to_turn_the_mmu_on_is_named_with_its_value(boot: Boot) -> None:
    written = {each["syndrome"]["target"]: each["syndrome"].get("operand") for each in boot.trapped}
    assert {"TTBCR", "TTBR1", "TTBR0", "SCTLR"} <= written.keys()
    assert int(written["SCTLR"]["value"], 16) & 1, "M"
    eae = int(written["TTBCR"]["value"], 16) >> 31
    assert eae == (boot.form == "long")
    pairs = [each for each in boot.trapped if each["syndrome"]["instruction"].startswith("MCRR")]
    assert bool(pairs) == (boot.form == "long"), "64-bit roots"
    assert all("HCR_EL2.T" in each["sentence"] for each in boot.trapped)


def test_each_trap_fits_the_instruction_in_memory_and_no_other(boot: Boot) -> None:
    for fault, word in zip(boot.trapped, boot.words, strict=True):
        found, state = ARM.exceptions.decode(int(fault["syndrome"]["value"], 16)), int(fault["saved_state"], 16)
        assert fits(found, word, state), f"{found.instruction}: {word:#x}"
        assert {each for each in boot.words if fits(found, each, state)} == {word}


@pytest.mark.skipif(shutil.which(DISASSEMBLER) is None, reason=f"{DISASSEMBLER} is not installed")
def test_each_trap_is_spelled_as_binutils_disassemble_it(boot: Boot) -> None:
    with tempfile.NamedTemporaryFile(prefix="gdbtools-words-") as file:
        file.write(struct.pack(f"<{len(boot.words)}I", *boot.words))
        file.flush()
        command = [DISASSEMBLER, "-D", "-b", "binary", "-m", "arm", "-z", file.name]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    theirs = [spelled(each) for each in re.findall(r"^ *[0-9a-f]+:\t[0-9a-f]{8} \t(.*)$", said, re.MULTILINE)]
    assert theirs == [spelled(each["syndrome"]["instruction"]) for each in boot.trapped]


def spelled(text: str) -> str:
    """Return an instruction in one spelling: binutils put an opcode in braces, and call R13 to R15 by name."""
    plain = re.sub(r"\s+", " ", text.partition("@")[0].partition(";")[0].strip().lower())
    plain = re.sub(r"[{}]|\bp(?=\d)", "", re.sub(r"\bcr", "c", plain))
    for number, name in ((10, "sl"), (11, "fp"), (12, "ip"), (13, "sp"), (14, "lr"), (9, "sb")):
        plain = re.sub(rf"\b{name}\b", f"r{number}", plain)
    return plain.replace(", ", ",")


def test_an_abort_goes_through_its_own_tables_and_then_the_second_stage(boot: Boot) -> None:
    uart = boot.uart
    assert uart["verdict"] == "tables agree"
    assert "stage 2 translation fault" in uart["sentence"]
    assert "IPA 0x220000" in uart["sentence"]
    assert "is the guest's device sbsa-uart@22000000 (arm,sbsa-uart): left to be emulated." in uart["sentence"]
    assert int(uart["ipa"], 16) == UART, "by HPFAR_EL2"
    assert int(uart["walk"]["ipa"], 16) & -4096 == UART, "by the guest's own tables"
    stages = [each["stage"] for each in uart["walk"]["steps"]]
    assert stages[0] == 1
    assert uart["syndrome"]["transfer"]["register"].startswith("R")
