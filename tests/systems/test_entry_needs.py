"""What an exception's entry needs: of bare metal its vectors and frame, of a Linux its stack, task and per-CPU data."""

from __future__ import annotations

from gdbtools.arch import ARCHITECTURES
from gdbtools.systems import entry_needs
from tests.tables import reader

ARM = ARCHITECTURES["aarch64"]
EL0T, EL1H = 0b0000, 0b0101
LINUX = {
    "VBAR_EL1": 0xFFFF_B966_FEA1_0800,
    "sp": 0xFFFF_8000_0822_B5C0,
    "SP_EL0": 0xFFFF_6E20_C305_1040,
    "SP_EL1": 0xFFFF_8000_0822_C000,
    "TPIDR_EL1": 0xFFFF_B4B9_D008_2000,
    "pc": 0xFFFF_B966_FEA3_9CB8,
    "cpsr": EL1H,
}


def needs(**registers: int) -> dict[str, tuple[int, int]]:
    return {each.name: (each.first, each.size_bytes) for each in entry_needs(ARM, reader(registers))}


def covers(found: dict[str, tuple[int, int]], name: str, address: int) -> bool:
    first, size_bytes = found[name]
    return first <= address < first + size_bytes


def test_bare_metal_needs_its_vectors_its_code_and_the_next_frame() -> None:
    found = needs(VBAR_EL1=0x4300_0000, sp=0x4310_0000, SP_EL0=0x5000_0000, TPIDR_EL1=3, pc=0x4300_1000, cpsr=EL1H)
    assert set(found) == {"the exception vectors", "the code at pc", "the stack"}
    assert found["the exception vectors"] == (0x4300_0000, 0x800)
    assert found["the stack"] == (0x4310_0000 - 512, 512)


def test_a_linux_in_its_kernel_needs_its_whole_stack_the_task_and_the_per_cpu_data() -> None:
    found = needs(**LINUX)
    assert found["the stack"] == (0xFFFF_8000_0822_8000, 1 << 14)
    assert covers(found, "what SP_EL0 points at, as Linux's current task", LINUX["SP_EL0"])
    # A per-CPU symbol some megabytes behind the vectors, by what TPIDR_EL1 adds to it.
    symbol = LINUX["VBAR_EL1"] + 0x100_0000
    assert covers(found, "Linux's per-CPU data", (symbol + LINUX["TPIDR_EL1"]) % (1 << 64))


def test_at_el0_the_stack_is_the_one_that_the_exception_will_be_taken_on() -> None:
    found = needs(**{**LINUX, "cpsr": EL0T, "sp": 0x7FFF_0000, "SP_EL0": 0x7FFF_0000, "pc": 0x40_0000})
    # The frame comes below the top, which is where the pointer is.
    assert found["the stack"] == (0xFFFF_8000_0822_8000, 1 << 14)
    assert "the code at pc" not in found
    assert "what SP_EL0 points at, as Linux's current task" not in found
