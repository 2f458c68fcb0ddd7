"""The names of System registers and instructions, held against assemblers' and Linux's own, over the whole space."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

import pytest

from gdbtools.arch.aarch64.instructions.coprocessor_instructions import (
    coprocessor_assembly,
    coprocessor_name,
    coprocessor_pair_assembly,
    coprocessor_pair_name,
)
from gdbtools.arch.aarch64.instructions.system_instructions import Operation, assembly, assembly_pair, name
from gdbtools.errors import Unavailable
from tests.guests.headers import kernel_headers
from tests.guests.packages import Suite, kept, linux_source, once, run

SPACE = tuple(product((1, 2, 3), range(8), range(16), range(16), range(8)))
XZR = 31


@dataclass(frozen=True)
class Access:
    """One instruction word, taken apart."""

    operation: Operation
    read: bool
    rt: int
    pair: bool = False

    @property
    def word(self) -> int:
        op0, op1, CRn, CRm, op2 = self.operation
        fields = op0 << 19 | op1 << 16 | CRn << 12 | CRm << 8 | op2 << 5
        return 0xD5000000 | self.pair << 22 | self.read << 21 | fields | self.rt

    @property
    def ours(self) -> str:
        return (assembly_pair if self.pair else assembly)(self.operation, self.read, self.rt)


# "MSR (immediate)", which op0 0b00 has beside hints and barriers, and the aliases that it is shown by.
IMMEDIATES = tuple(Operation(0, *each) for each in product(range(8), (4,), range(16), range(8)))
SVCR = {"smstart": "msr svcrsmza, #1", "smstop": "msr svcrsmza, #0"} | {
    f"{alias} {what}": f"msr svcr{what}, #{value}"
    for (alias, value), what in product((("smstart", 1), ("smstop", 0)), ("sm", "za"))
}


def every_access() -> list[Access]:
    """Return MSR and MRS of XZR, and SYS and SYSL both without a register and with one."""
    accesses = product((Operation(*each) for each in SPACE), (False, True), (XZR, 1))
    return [Access(*each) for each in accesses if each[0].op0 == 1 or each[2] == XZR]


def every_pair() -> list[Access]:
    """Return the accesses of two registers that exist: of SYSP there is no reading form."""
    accesses = product(SPACE, (False, True))
    return [Access(Operation(*each), read, 2, pair=True) for each, read in accesses if each[0] != 1 or not read]


def every_immediate() -> list[Access]:
    return [Access(each, read=False, rt=XZR) for each in IMMEDIATES]


def plain(text: str) -> str:
    """Write an instruction as all of them do when case, spaces and the base of a number are left out."""
    text = re.split(r"//|;", text)[0].lower()
    text = re.sub(r"#0x([0-9a-f]+)", lambda found: f"#{int(found[1], 16)}", text)
    return re.sub(r"\s+", " ", text).strip()


def named(text: str) -> bool:
    return not re.match(r"(sys|sysl|sysp) #|sysl |sysp|\.inst|<unknown>", text) and not re.search(r"\bs\d_\d_c", text)


# Where a disassembler and the manual differ: the disassemblers, their text, ours, and why.
INSTALLED, NEWEST, LLVM = "installed objdump", "objdump of sid", "llvm-objdump of sid"
DIFFERENCES = (
    ({INSTALLED}, r"m[rs][rs] .*csr(cr|ptr|ptridx|idr)_el\d+.*", r".* S2_\d_C8_C0_\d.*", "FEAT_CSRE was withdrawn"),
    ({INSTALLED}, r"ic iallu(is)?", r"SYS #0, .*X1", "it leaves out a register that is not 31"),
    ({INSTALLED}, r"tlbi .*", r"SYS #\d, C8, .*X1", "it leaves out a register that is not 31"),
    ({INSTALLED}, r"tlbi v?mall\S+[io]s|tlbi all\S+[io]s", r"TLBI .*, X1", "it is older than FEAT_TLBID's register"),
    ({NEWEST}, r"brb (iall|inj)", r"SYS #1, .*X1", "it leaves out a register that is not 31"),
    ({NEWEST}, r"gic cdeoi, x(1|zr)", r"GIC CDEOI|SYS #0, .*X1", "the GICv5 specification gives it no register"),
    ({NEWEST}, r"gicr \S+, cd(nm)?ia", r"SYS #0, C12, C3, #[01].*", "GICR is SYSL, and it says SYS"),
    ({NEWEST}, r"sysl \S+, #0, c12, c3, #[01]", r"GICR .*", "GICR is SYSL, and it says SYS"),
    ({NEWEST}, r"tlbi vmallws2e1(nxs)?", r"SYS #4, C[89], C6, #3", "LLVM has op2 0b010, as IS and OS have"),
    ({NEWEST}, r"sys #4, c[89], c6, #2", r"TLBI VMALLWS2E1(NXS)?", "LLVM has op2 0b010, as IS and OS have"),
    ({NEWEST}, r"tlbip (v?mall|all|aside|rpa|paall).*", r"SYSP .*", "TLBIP is by address, and of no PA"),
    ({LLVM}, r"cfinv|[xa]+flag", r"MSR S0_0_C4_C\d+_[012], XZR", "CRm should be 0, and it names them all"),
    ({LLVM}, r"m[rs]+ .*trcextinselr\b.*", r".*TRCEXTINSELR0.*", "ETE numbers it"),
    ({LLVM}, r"msrr? icv_(hppir|hapr)_el1, .*", r"MSRR? ICC_(HPPIR|HAPR)_EL1, .*", "a view's name of one encoding"),
)  # fmt: skip


def difference(who: str, theirs: str, ours: str) -> int | None:
    for index, (of, their_pattern, our_pattern, _) in enumerate(DIFFERENCES):
        if who in of and re.fullmatch(their_pattern, theirs) and re.fullmatch(our_pattern, ours):
            return index
    return None


# Names that nobody but LLVM confirms; and those that no program at hand knows, each with where it comes from.
ONLY_LLVM = {
    "APAS",
    "CNTISCALE_EL2",
    "CNTSCALE_EL2",
    "CNTVFRQ_EL2",
    "GICR CDIA",
    "GICR CDNMIA",
    "ICH_PPI_HVIR0_EL2",
    "ICH_PPI_HVIR1_EL2",
    "TEECR32_EL1",
    "TEEHBR32_EL1",
    "TLBI VMALLWS2E1",
    "TLBI VMALLWS2E1NXS",
}
UNCONFIRMED = {
    "MLBI ALLE1": "FEAT_MPAMv2; between its siblings of op2",
    "MLBI VMALLE1": "FEAT_MPAMv2; LLVM's own tests, newer than the release",
    "MLBI VPIDE1": "FEAT_MPAMv2; LLVM's own tests, newer than the release",
    "MLBI VPMGE1": "FEAT_MPAMv2; LLVM's own tests, newer than the release",
}


def _unpacked(name: str, pattern: str) -> Path:
    def unpack(made: Path) -> None:
        suite = Suite("sid", run(["dpkg", "--print-architecture"]).strip())
        for deb in suite.download(suite.newest(pattern), made.with_name("archives"), with_dependencies=True):
            run(["dpkg", "-x", str(deb), str(made)])

    return kept(f"{name}-sid", unpack)


def of_sid(package: str, pattern: str, program: str) -> tuple[str, ...]:
    """Return a program of a package of sid, run with that suite's own loader and libraries."""
    root = once(_unpacked, package, pattern)
    found = sorted(path for path in root.glob(program) if path.is_file())
    loaders = sorted(path for path in root.rglob("ld-linux-*.so.*") if path.is_file())
    if not found or not loaders:
        raise Unavailable(f"{package} of sid came without {program}, or without a loader")
    libraries = [str(path) for path in sorted(root.glob("**/*-linux-gnu")) if path.parent.name == "lib"]
    return (str(loaders[0]), "--library-path", ":".join(libraries), str(found[0]))


def objdump(program: tuple[str, ...], binary: Path) -> str:
    return run([*program, "-D", "-z", "-b", "binary", "-m", "aarch64", str(binary)])


def llvm(binary: Path) -> str:
    copy, dump = (of_sid("llvm", r"llvm-\d+", f"usr/lib/llvm-*/bin/llvm-{each}") for each in ("objcopy", "objdump"))
    section = "--rename-section=.data=.text,alloc,load,readonly,code,contents"
    run([*copy, "-I", "binary", "-O", "elf64-littleaarch64", section, str(binary), f"{binary}.o"])
    return run([*dump, "-d", "-z", "--mattr=+all", f"{binary}.o"])


def disassembly(who: str, binary: Path) -> str:
    if who == LLVM:
        return llvm(binary)
    if who == NEWEST:
        return objdump(of_sid("binutils", "binutils-aarch64-linux-gnu", "usr/bin/aarch64-linux-gnu-objdump"), binary)
    installed = shutil.which("aarch64-linux-gnu-objdump")
    if not installed:
        raise Unavailable("no aarch64-linux-gnu-objdump; install it: apt-get install binutils-aarch64-linux-gnu")
    return objdump((installed,), binary)


@cache
def texts(who: str, of: Callable[[], list[Access]]) -> list[tuple[Access, str]]:
    """Return accesses, each with what a disassembler says of it."""
    accesses = of()
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder) / "words"
        binary.write_bytes(struct.pack(f"<{len(accesses)}I", *(access.word for access in accesses)))
        said = disassembly(who, binary)
    lines = re.findall(r"^\s*[0-9a-f]+:\s+([0-9a-f]{8})\s+(.*)$", said, re.MULTILINE)
    assert [int(word, 16) for word, _ in lines] == [access.word for access in accesses]
    return [(access, plain(text)) for access, (_, text) in zip(accesses, lines, strict=True)]


def said(who: str, of: Callable[[], list[Access]] = every_access) -> list[tuple[Access, str]]:
    try:
        return texts(who, of)
    except Unavailable as missing:
        pytest.skip(str(missing))


def disagreements(who: str, of: Callable[[], list[Access]]) -> Iterator[tuple[str, str]]:
    """Yield what they say and what we say where they have a name that is not ours, or neither has one.

    But for the differences that are listed.
    """
    for access, theirs in said(who, of):
        ours = access.ours
        if plain(ours) == SVCR.get(theirs, theirs) or (named(plain(ours)) and not named(theirs)):
            continue
        if difference(who, theirs, ours) is None:
            yield theirs, ours


WHO = [INSTALLED, NEWEST, pytest.param(LLVM, marks=pytest.mark.full)]


@pytest.mark.slow
@pytest.mark.parametrize("who", WHO)
def test_every_name_that_a_disassembler_has_is_ours(who: str) -> None:
    assert list(disagreements(who, every_access)) == []


@pytest.mark.slow
@pytest.mark.parametrize("who", WHO[1:])
def test_every_pair_that_a_disassembler_names_is_ours(who: str) -> None:
    assert list(disagreements(who, every_pair)) == []


@pytest.mark.parametrize("who", WHO)
def test_every_immediate_that_a_disassembler_names_is_ours(who: str) -> None:
    assert list(disagreements(who, every_immediate)) == []


@pytest.mark.full
@pytest.mark.parametrize("who", [NEWEST, LLVM])
def test_no_difference_is_stale(who: str) -> None:
    both = (*said(who), *said(who, every_pair), *said(who, every_immediate))
    met = {difference(who, theirs, access.ours) for access, theirs in both}
    listed = {index for index, (of, *_) in enumerate(DIFFERENCES) if who in of}
    assert listed - met == set()


def witnessed(who: str) -> set[Operation]:
    """Return what a disassembler has a name for, whichever way the access goes."""
    return {access.operation for access, text in said(who) if named(text)}


def ours_without(witnesses: set[Operation]) -> set[str]:
    ours = {(each, name(each, read)) for each in map(Operation._make, SPACE) for read in (False, True)}
    return {text for each, text in ours if named(text.lower()) and each not in witnesses}


def test_every_name_has_a_witness_but_those_listed() -> None:
    without = ours_without(witnessed(NEWEST) - {Operation(1, 0, 12, 3, 0), Operation(1, 0, 12, 3, 1)})
    assert without <= ONLY_LLVM | set(UNCONFIRMED)


@pytest.mark.full
def test_llvm_witnesses_what_objdump_does_not() -> None:
    assert ours_without(witnessed(NEWEST) | witnessed(LLVM)) <= set(UNCONFIRMED)


# What Linux's headers call otherwise, or have besides: encodings of AArch32 and of an immediate, and a register of an
# early GICv4 whose encoding GICv5 gave to ICH_HFGRTR_EL2.
NOT_REGISTERS = r"AARCH32_.*|SVCR_SM(START|STOP)_.*|ICH_VSEIR_EL2"
LINUX_CALLS = {"PSTATE_PAN": "PAN", "RNDR_EL0": "RNDR", "RNDRRS_EL0": "RNDRRS"}


def linux_names() -> Iterator[tuple[Operation, str]]:
    try:
        folder = kernel_headers()
    except Unavailable as missing:
        pytest.skip(str(missing))
    text = "".join((folder / header).read_text() for header in ("sysreg.h", "sysreg-defs.h"))
    numbers = {word: int(number) for word, number in re.findall(r"#define\s+(\w+_(?:Op0|CRn\w*))\s+(\d+)\s", text)}
    defined = r"#define\s+(?:SYS|OP)_(\w+)\s+sys_(?:reg|insn)\((\w+),\s*(\w+),\s*(\w+),\s*(\w+),\s*(\w+)\)"
    for what, *fields in re.findall(defined, text):
        if all(field.isdigit() or field in numbers for field in fields):
            yield Operation(*(int(field) if field.isdigit() else numbers[field] for field in fields)), what


def test_every_name_that_linux_has_is_ours() -> None:
    compared = 0
    for operation, theirs in linux_names():
        if re.fullmatch(NOT_REGISTERS, theirs):
            continue
        ours = {name(operation, read).replace(" ", "_").upper() for read in (False, True)}
        assert LINUX_CALLS.get(theirs, theirs).upper() in ours, operation
        compared += 1
    assert compared > 700


@pytest.mark.parametrize(
    ("encoding", "read", "expected"),
    [
        ((3, 0, 1, 0, 0), False, "SCTLR_EL1"),
        ((3, 0, 2, 1, 0), True, "APIAKeyLo_EL1"),
        ((3, 0, 2, 3, 1), True, "APGAKeyHi_EL1"),
        ((3, 0, 4, 2, 0), True, "SPSel"),
        ((3, 0, 4, 2, 2), True, "CurrentEL"),
        ((3, 4, 4, 3, 1), True, "SPSR_abt"),
        ((3, 5, 2, 0, 2), False, "TCR_EL12"),
        ((3, 3, 14, 2, 1), False, "CNTP_CTL_EL0"),
        ((3, 3, 14, 11, 6), True, "PMEVCNTR30_EL0"),
        ((3, 3, 14, 11, 7), True, "S3_3_C14_C11_7"),
        ((2, 3, 0, 5, 0), True, "DBGDTRRX_EL0"),
        ((2, 3, 0, 5, 0), False, "DBGDTRTX_EL0"),
        ((1, 0, 7, 14, 2), False, "DC CISW"),
        ((1, 0, 7, 14, 2), True, "SYSL #0, C7, C14, #2"),
        ((1, 0, 8, 3, 1), False, "TLBI VAE1IS"),
        ((1, 4, 9, 5, 1), False, "TLBI RVAE2OSNXS"),
        ((1, 3, 7, 4, 6), False, "SYS #3, C7, C4, #6"),
        ((1, 3, 7, 7, 1), True, "GCSPOPM"),
        ((0, 3, 4, 2, 6), False, "DAIFSet"),
        ((0, 1, 4, 3, 0), False, "PM"),
        ((0, 3, 4, 3, 3), False, "SVCRSM"),
        ((3, 4, 11, 0, 2), False, "S3_4_C11_C0_2"),
    ],
)
def test_a_name_has_the_manuals_case(encoding: tuple[int, ...], read: bool, expected: str) -> None:
    assert name(Operation(*encoding), read) == expected


@pytest.mark.parametrize(
    ("encoding", "read", "rt", "expected"),
    [
        ((3, 0, 1, 0, 0), False, 0, "MSR SCTLR_EL1, X0"),
        ((3, 0, 0, 7, 1), True, 1, "MRS X1, ID_AA64MMFR1_EL1"),
        ((3, 0, 2, 0, 2), False, XZR, "MSR TCR_EL1, XZR"),
        ((3, 4, 11, 0, 2), True, 0, "MRS X0, S3_4_C11_C0_2"),
        ((1, 0, 7, 14, 2), False, 3, "DC CISW, X3"),
        ((1, 0, 8, 3, 0), False, XZR, "TLBI VMALLE1IS"),
        ((1, 0, 8, 3, 1), False, 5, "TLBI VAE1IS, X5"),
        ((1, 0, 7, 5, 0), False, XZR, "IC IALLU"),
        ((1, 0, 7, 5, 0), False, 4, "SYS #0, C7, C5, #0, X4"),
        ((1, 4, 10, 3, 0), False, 1, "PLBI ALLE2IS, X1"),
        ((1, 6, 10, 3, 0), False, 1, "SYS #6, C10, C3, #0, X1"),
        ((1, 3, 7, 4, 6), True, 0, "SYSL X0, #3, C7, C4, #6"),
        ((1, 3, 7, 7, 0), False, 2, "GCSPUSHM X2"),
        ((1, 3, 7, 7, 1), True, XZR, "GCSPOPM"),
        ((1, 0, 12, 3, 0), True, 6, "GICR X6, CDIA"),
        ((1, 3, 7, 3, 4), False, 7, "CFP RCTX, X7"),
        ((0, 3, 4, 2, 6), False, XZR, "MSR DAIFSet, #2"),
        ((0, 3, 4, 2, 7), False, XZR, "MSR DAIFClr, #2"),
        ((0, 0, 4, 1, 4), False, XZR, "MSR PAN, #1"),
        ((0, 0, 4, 1, 5), False, XZR, "MSR SPSel, #1"),
        ((0, 1, 4, 3, 0), False, XZR, "MSR PM, #1"),
        ((0, 3, 4, 7, 3), False, XZR, "MSR SVCRSMZA, #1"),
        ((0, 0, 4, 0, 0), False, XZR, "CFINV"),
    ],
)
def test_an_instruction_is_written_as_an_assembler_takes_it(
    encoding: tuple[int, ...], read: bool, rt: int, expected: str
) -> None:
    assert assembly(Operation(*encoding), read, rt) == expected


@pytest.mark.parametrize(
    ("encoding", "read", "rt", "expected"),
    [
        ((3, 0, 2, 0, 0), True, 0, "MRRS X0, X1, TTBR0_EL1"),
        ((3, 0, 2, 0, 0), False, 0, "MSRR TTBR0_EL1, X0, X1"),
        ((1, 0, 8, 3, 1), False, 0, "TLBIP VAE1IS, X0, X1"),
        ((1, 0, 8, 3, 1), False, XZR, "TLBIP VAE1IS, XZR, XZR"),
        ((1, 0, 8, 3, 0), False, 0, "SYSP #0, C8, C3, #0, X0, X1"),
    ],
)
def test_an_instruction_of_two_registers_names_both(
    encoding: tuple[int, ...], read: bool, rt: int, expected: str
) -> None:
    assert assembly_pair(Operation(*encoding), read, rt) == expected


def test_importing_builds_no_table() -> None:
    module = "gdbtools.arch.aarch64.instructions.system_instructions"
    program = f"import {module} as s; print(s._invalidations.cache_info().misses)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "0\n"


def arm_names() -> Iterator[tuple[tuple[int, ...], str]]:
    """Yield what Linux calls the registers of AArch32 that it accesses, or that KVM traps, by the manual's names."""
    try:
        root = linux_source() / "arch"
    except Unavailable as missing:
        pytest.skip(str(missing))
    headers = root / "arm" / "include" / "asm"
    for header in ("arm_pmuv3.h", "arch_gicv3.h", "vdso/cp15.h"):
        found = re.findall(
            r"#define\s+(\w+)\s+__ACCESS_CP15\(c(\d+),\s*(\d),\s*c(\d+),\s*(\d)\)", (headers / header).read_text()
        )
        yield from (((15, int(op1), int(CRn), int(CRm), int(op2)), what) for what, CRn, op1, CRm, op2 in found)
    for what, *fields in re.findall(
        r"#define\s+RCP14_(DBG\w+)\(\)\s+MRC14\((\d), c(\d+), c(\d+), (\d)\)",
        (headers / "hardware" / "cp14.h").read_text(),
    ):
        yield (14, *map(int, fields)), what
    tables = (root / "arm64" / "kvm" / "sys_regs.c").read_text()
    operands = ", ".join(rf"{each}\( ?(\d+)\)" for each in ("Op1", "CRn", "CRm", "Op2"))
    row = rf"/\* ([\w/]+)(?: \(32bit\))? \*/\s*{{ (?:AA32\(\w+\), )?{operands}"
    for coproc in (14, 15):
        table = re.search(rf"cp{coproc}_regs\[\] = {{(.*?)^}};", tables, re.MULTILINE | re.DOTALL)
        assert table
        yield from (((coproc, *map(int, fields)), what) for what, *fields in re.findall(row, table[1]))


# Registers of ARMv7's debug that ARMv8 has not.
NOT_IN_ARMV8 = {"DBGECR", "DBGDSCCR", "DBGDSMCR", "DBGDRCR", "DBGOSSRR", "DBGPRSR", "DBGITCTRL"}


def test_every_aarch32_name_that_linux_has_is_ours() -> None:
    compared = 0
    for encoding, theirs in arm_names():
        coproc, opc1, CRn, CRm, opc2 = encoding
        ours = coprocessor_name(coproc, opc1, CRn, CRm, opc2, read=True)
        if ours == "" and theirs in NOT_IN_ARMV8:
            continue
        assert theirs == ours, encoding
        compared += 1
    assert compared > 150


def test_a_register_of_both_states_has_one_name_and_one_encoding() -> None:
    """The GIC's and RAS's registers of AArch32 are where the ones of AArch64 at EL1 are, and named alike."""
    shared = 0
    for op1, CRn, CRm, op2 in product((0, 4), (0, 5, 12), range(16), range(8)):
        aarch64, aarch32 = name(Operation(3, op1, CRn, CRm, op2), True), coprocessor_name(15, op1, CRn, CRm, op2, True)
        if aarch32 and aarch64.startswith(("ICC_", "ICH_", "ID_", "ERR")) and not re.search("PPI|ICC_SRE_EL2", aarch64):
            assert aarch64.rpartition("_")[0] == aarch32
            shared += 1
    assert shared > 60


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ((15, 0, 1, 0, 0), "SCTLR"),
        ((15, 0, 2, 0, 0), "TTBR0"),
        ((15, 4, 2, 1, 2), "VTCR"),
        ((15, 0, 7, 14, 2), "DCCISW"),
        ((15, 0, 7, 8, 0), "ATS1CPR"),
        ((15, 4, 8, 7, 4), "TLBIALLNSNH"),
        ((15, 0, 10, 2, 0), "PRRR/MAIR0"),
        ((15, 0, 14, 11, 6), "PMEVCNTR30"),
        ((15, 0, 14, 11, 7), ""),
        ((15, 0, 14, 15, 7), "PMCCFILTR"),
        ((14, 0, 0, 5, 0), "DBGDTRRXint"),
        ((14, 1, 0, 1, 0), "TRCPRGCTLR"),
        ((15, 0, 15, 0, 0), ""),
    ],
)
def test_an_aarch32_access_is_named(encoding: tuple[int, int, int, int, int], expected: str) -> None:
    assert coprocessor_name(*encoding, read=True) == expected


def test_what_is_written_at_the_data_transfer_register_is_another() -> None:
    assert coprocessor_name(14, 0, 0, 5, 0, read=False) == "DBGDTRTXint"


def test_an_aarch32_access_is_written_as_an_assembler_takes_it() -> None:
    assert coprocessor_assembly(15, 0, 7, 14, 2, 3, read=False) == "MCR p15, 0, R3, c7, c14, 2"
    assert coprocessor_assembly(14, 0, 0, 1, 0, XZR, read=True) == "MRC p14, 0, APSR_nzcv, c0, c1, 0"
    assert coprocessor_assembly(10, 7, 7, 0, 0, 2, read=True) == "VMRS R2, MVFR0"
    assert coprocessor_pair_assembly(15, 0, 2, 0, 1, read=True) == "MRRC p15, 0, R0, R1, c2"
    assert coprocessor_pair_name(15, 6, 2) == "VTTBR"
    assert coprocessor_pair_name(15, 7, 2) == ""


def test_a_banked_register_has_the_number_that_the_instruction_gave() -> None:
    """X18 holds LR_svc and X24 R8_fiq: the instruction said R14 and R8."""
    assert coprocessor_assembly(15, 0, 1, 0, 0, 18, read=False) == "MCR p15, 0, R14, c1, c0, 0"
    assert coprocessor_assembly(15, 0, 1, 0, 0, 24, read=False) == "MCR p15, 0, R8, c1, c0, 0"
