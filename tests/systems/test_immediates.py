from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gdbtools.errors import Unavailable
from gdbtools.systems.immediates.aarch64 import (
    LINUX_STUB,
    OWNERS,
    SERVICES,
    UBSAN_CHECKS,
    XEN_HYPERCALLS,
    CfiComment,
    FunctionIdentifier,
    KasanComment,
    brk_comment,
    function_identifier,
    function_name,
    hvc_comment,
    svc_comment,
)
from tests.guests.headers import kernel_headers
from tests.guests.packages import Suite, kept, linux_source, once, run

FAST, SMC64 = 1 << 31, 1 << 30


@pytest.mark.parametrize("immediate", [2, 0x99, 0x8FF, 0xA00, 0x54FF, 0x5600, 0x7FFF, 0x8400, 0xFFFF])
def test_an_unknown_brk_has_no_comment(immediate: int) -> None:
    assert brk_comment(immediate) == ""


@pytest.mark.parametrize(
    ("immediate", "said"),
    [
        (0x910 | 3, "Linux: KASAN, write of 8 bytes"),
        (0x900, "Linux: KASAN, read of 1 byte"),
        (0x920 | 4, "Linux: KASAN, read of 16 bytes, recoverable"),
        (0x5500 | 20, "Clang: UBSAN, shift out of bounds"),
        (0x5500 | 0xFF, "Clang: UBSAN, check 0xff"),
        (0x8000 | 17 << 5 | 8, "Linux: CFI, call to x8 whose type is not that in w17"),
        (0x8000 | 31 << 5 | 31, "Linux: CFI, call to x31 whose type is not that in w31"),
        (0x500, "Linux: KGDB"),
    ],
)
def test_what_a_comment_carries_is_told(immediate: int, said: str) -> None:
    assert brk_comment(immediate) == said


def test_the_immediate_tells_whose_hypercall_it_is() -> None:
    assert hvc_comment(0xEA1).startswith("Xen")
    assert hvc_comment(0x4A48).startswith("Jailhouse")
    assert "w0" in hvc_comment(0)
    assert hvc_comment(0x1234) == svc_comment(0x1234) == ""
    assert "x8" in svc_comment(0)


def test_a_function_identifier_is_told_in_its_parts() -> None:
    identifier = function_identifier(0xFFFF_FFFF_C401_0003)
    assert (identifier.fast, identifier.SMC64, identifier.owner, identifier.hint, identifier.number) == (1, 1, 4, 1, 3)
    assert identifier.reserved == 0
    assert FunctionIdentifier.owner.meaning(identifier.owner) == "Standard Secure"
    assert function_identifier(0x8402_0003).reserved == 1 << 17


def test_the_sve_hint_changes_no_name() -> None:
    assert function_name(0x8401_0003) == function_name(0x8400_0003) == "PSCI: CPU_ON"


def test_a_reserved_bit_is_another_function() -> None:
    assert function_name(0x8402_0003) == ""


def test_a_function_that_has_no_64_bit_form_has_no_name_there() -> None:
    assert function_name(0x8400_0000) == "PSCI: VERSION"
    assert function_name(0xC400_0000) == ""
    assert function_name(0xC400_0003) == "PSCI: CPU_ON"
    assert function_name(0x0400_0003) == "", "a Yielding Call"


def test_every_owner_can_be_asked_who_it_is() -> None:
    for owner, name in OWNERS.items():
        assert function_name(FAST | owner << 24 | 0xFF01) == f"{name}: Call UID"
    assert function_name(FAST | 20 << 24 | 0xFF01) == "", "an owner without a name"


def test_no_two_services_claim_a_number() -> None:
    claimed = [
        (service.owner, service.fast, wide, number)
        for service in SERVICES
        for wide, functions in enumerate((service.smc32, service.smc64))
        for number in functions
    ]
    assert len(claimed) == len(set(claimed))


@given(st.integers(0, (1 << 64) - 1))
@example(0)
def test_no_value_is_refused(value: int) -> None:
    assert isinstance(function_name(value), str)
    assert isinstance(brk_comment(value & 0xFFFF), str)


# What others wrote: Linux's headers, Xen's, Linux's sources, a compiler.

LINUX_HEADERS = (
    "include/uapi/linux/psci.h",
    "include/uapi/linux/arm_sdei.h",
    "include/linux/arm-smccc.h",
    "include/linux/arm_ffa.h",
    "arch/arm64/include/asm/rsi_smc.h",
    "arch/arm64/include/asm/virt.h",
)


def _keep(suite: Suite, pattern: str, headers: tuple[str, ...], made: Path) -> None:
    package = suite.newest(pattern)
    archives, whole = made.with_name("archives"), made.with_name("whole")
    for deb in suite.download(package, archives):
        run(["dpkg", "-x", str(deb), str(whole)])
    made.mkdir()
    for header in headers:
        found = [path for path in whole.glob(f"**/{header}") if path.is_file()]
        if len(found) != 1:
            raise Unavailable(f"{package} of {suite.name} has {len(found)} headers {header}, and one was expected")
        shutil.copy(found[0], made)


def _linux() -> Path:
    suite, pattern = Suite("sid", "arm64"), r"linux-headers-\d[\w.+-]*-common"
    return kept("smccc-headers", lambda made: _keep(suite, pattern, LINUX_HEADERS, made))


def _xen() -> Path:
    return kept("xen-headers", lambda made: _keep(Suite("trixie", "arm64"), "libxen-dev", ("xen/xen.h",), made))


def _had(get: Callable[..., Path]) -> Path:
    try:
        return once(get)
    except Unavailable as why:
        pytest.skip(str(why))


class Defines(dict[str, Any]):
    """The macros of some headers as Python's names: of what makes constants, C and Python have the same syntax."""

    def __init__(self, folder: Path, *headers: str) -> None:
        super().__init__(UL=int, _AC=lambda number, _suffix: number, U=None)
        self.macros: dict[str, tuple[str, str]] = {}
        for header in headers:
            text = re.sub(r"/\*.*?\*/", " ", (folder / header).read_text(), flags=re.DOTALL).replace("\\\n", " ")
            for name, parameters, body in re.findall(r"^[ \t]*#define[ \t]+(\w+)(\([^)]*\))?(.*)$", text, re.MULTILINE):
                body = re.sub(r"\b(0[xX][0-9a-fA-F]+|\d+)[uUlL]+\b", r"\1", body).strip()
                # What a header redefines is for the callers of an older one.
                self.macros.setdefault(name, (parameters, body))

    def __missing__(self, name: str) -> Any:
        parameters, body = self.macros[name]
        return eval(f"lambda {parameters[1:-1]}: ({body})" if parameters else body, self)

    def numbers(self, pattern: str) -> dict[str, int]:
        """Return every macro whose whole name matches and that stands for a number."""
        found: dict[str, int] = {}
        for name in self.macros:
            if re.fullmatch(pattern, name):
                with suppress(SyntaxError, KeyError, TypeError, NameError):
                    value = self[name]
                    if isinstance(value, int):
                        found[name] = value
        return found


def test_brk_as_linux_has_it() -> None:
    numbers = Defines(_had(kernel_headers), "brk-imm.h").numbers(r"\w+_BRK_(SS_)?IMM")
    said = {name: brk_comment(number) for name, number in numbers.items()}
    words = {
        "KPROBES_BRK_IMM": "kprobe",
        "UPROBES_BRK_IMM": "uprobe",
        "KPROBES_BRK_SS_IMM": "single step",
        "KRETPROBES_BRK_IMM": "kretprobe",
        "FAULT_BRK_IMM": "on purpose",
        "KGDB_DYN_DBG_BRK_IMM": "at run time",
        "KGDB_COMPILED_DBG_BRK_IMM": "compiled in",
        "BUG_BRK_IMM": "BUG",
        "KASAN_BRK_IMM": "KASAN",
        "UBSAN_BRK_IMM": "UBSAN",
    }
    assert said.keys() == words.keys(), "Linux has others than those known here"
    assert [name for name, comment in said.items() if words[name] not in comment] == []


def test_the_ranges_of_brk_are_linux_s() -> None:
    header = Defines(_had(kernel_headers), "brk-imm.h")
    header["GENMASK"] = lambda high, low: (1 << high + 1) - (1 << low)
    comments = [brk_comment(number) for number in range(1 << 16)]
    for word, base in (("KASAN,", "KASAN_BRK_IMM"), ("UBSAN,", "UBSAN_BRK_IMM"), ("CFI,", "CFI_BRK_IMM_BASE")):
        mask = header[f"{word.removesuffix(',')}_BRK_{'IMM_' if word == 'CFI,' else ''}MASK"]
        ours = [number for number, comment in enumerate(comments) if word in comment]
        assert ours == [number for number in range(1 << 16) if number & ~mask == header[base]]
    assert CfiComment.target_register.mask == header["CFI_BRK_IMM_TARGET"]
    assert CfiComment.type_register.mask == header["CFI_BRK_IMM_TYPE"]


@pytest.mark.parametrize(
    ("header", "pattern", "service"),
    [
        ("psci.h", r"PSCI_\d_\d_FN(?:64)?_(?:PSCI_)?(?!BASE)(\w+)", "PSCI"),
        ("arm_sdei.h", r"SDEI_1_0_FN_SDEI_(\w+)", "SDEI"),
        ("arm_ffa.h", r"FFA_(?:FN64_)?([A-Z_0-9]+)", "FF-A"),
        ("rsi_smc.h", r"SMC_RSI_(?:ABI_)?(\w+)", "RSI"),
        ("arm-smccc.h", r"ARM_SMCCC_TRNG_(\w+?)(?:32|64)?", "TRNG"),
        ("arm-smccc.h", r"ARM_SMCCC_HV_PV_TIME_(\w+)", "PV_TIME"),
        ("arm-smccc.h", r"ARM_SMCCC_VENDOR_HYP_KVM_(\w+)_FUNC_ID", "KVM"),
        ("arm-smccc.h", r"ARM_SMCCC_(VERSION|ARCH_FEATURES)_FUNC_ID", "SMCCC"),
        ("arm-smccc.h", r"ARM_SMCCC_(ARCH_WORKAROUND_\d|ARCH_SOC_ID)(?:64)?", "SMCCC"),
    ],
)
def test_function_names_are_linux_s(header: str, pattern: str, service: str) -> None:
    numbers = Defines(_had(_linux), "arm-smccc.h", header).numbers(pattern)
    functions = {name: number for name, number in numbers.items() if number >= FAST}
    assert functions, f"{header} has none of these"
    for name, number in functions.items():
        matched = re.fullmatch(pattern, name)
        assert matched
        assert function_name(number) == f"{service}: {matched[1]}", f"{name} is {number:#x}"


BEYOND_LINUX = {
    "PSCI": set(),
    "SDEI": {0x2F, 0x30},  # EVENT_SIGNAL, FEATURES
    "FF-A": {0x8A},  # CONSOLE_LOG as SMC64, of FF-A 1.2
    "RSI": set(),
}


@pytest.mark.parametrize(
    ("header", "service"), [("psci.h", "PSCI"), ("arm_sdei.h", "SDEI"), ("arm_ffa.h", "FF-A"), ("rsi_smc.h", "RSI")]
)
def test_linux_knows_what_is_named_here(header: str, service: str) -> None:
    theirs = set(Defines(_had(_linux), "arm-smccc.h", header).numbers(r"(PSCI|SDEI|FFA|SMC_RSI)_\w+").values())
    ours = next(each for each in SERVICES if each.name == service)
    for wide, functions in ((0, ours.smc32), (SMC64, ours.smc64)):
        unknown = {number for number in functions if FAST | wide | ours.owner << 24 | number not in theirs}
        assert unknown <= BEYOND_LINUX[service]


def test_linux_s_stub_has_these_functions() -> None:
    numbers = Defines(_had(_linux), "virt.h").numbers(r"HVC_(?!STUB)\w+")
    assert {number: name for name, number in numbers.items()} == LINUX_STUB


def test_xen_s_hypercalls_are_xen_s() -> None:
    named: dict[int, str] = {}
    for name, number in Defines(_had(_xen), "xen.h").numbers(r"__HYPERVISOR_\w+").items():
        # An older name of the same number comes later.
        named.setdefault(number, name.removeprefix("__HYPERVISOR_"))
    assert named == XEN_HYPERCALLS


@pytest.mark.full
def test_ubsan_s_checks_are_in_linux_s_order() -> None:
    text = (_had(linux_source) / "lib/ubsan.h").read_text()
    checks = re.search(r"enum ubsan_checks \{(.*?)\}", text, re.DOTALL)
    assert checks
    assert [name.replace("_", " ") for name in re.findall(r"ubsan_(\w+)", checks[1])] == list(UBSAN_CHECKS)


@pytest.mark.full
def test_kasan_s_bits_are_linux_s() -> None:
    bits = Defines(_had(linux_source), "arch/arm64/kernel/traps.c")
    assert KasanComment.recover.mask == bits["KASAN_ESR_RECOVER"]
    assert KasanComment.write.mask == bits["KASAN_ESR_WRITE"]
    assert KasanComment.log2_size.mask == bits["KASAN_ESR_SIZE_MASK"]


def test_gcc_s_trap_is_gcc_s(tmp_path: Path) -> None:
    gcc = shutil.which("aarch64-linux-gnu-gcc")
    if gcc is None:
        pytest.skip("aarch64-linux-gnu-gcc is not installed: apt-get install gcc-aarch64-linux-gnu")
    source = tmp_path / "trap.c"
    source.write_text("void trap(void) { __builtin_trap(); }\n")
    said = subprocess.run([gcc, "-S", "-o", "-", source], capture_output=True, text=True, check=True, timeout=60).stdout
    found = re.search(r"brk\s+#?(\w+)", said)
    assert found
    assert brk_comment(int(found[1], 0)) == "GCC: __builtin_trap"
