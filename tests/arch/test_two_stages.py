"""What the first stage refuses hardware refuses before it asks the stage below, whose tables need not be there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from gdbtools.addresses import VA
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import Access, AccessKind, FaultKind, ReadRegister, Walk
from gdbtools.arch.walk import walk
from gdbtools.errors import Unreadable
from tests.arch.aarch64.truth import machine as truth
from tests.arch.riscv.machine import AD, RAM, R, U, V, W, X, guest
from tests.tables import reader

READ_ONLY = 0b10 << 6
"""AP[2] of Arm."""


@dataclass(frozen=True)
class Guest:
    """A guest with one page that may be read and not written, and whose second stage lacks the table for its output."""

    architecture: Any
    register: ReadRegister
    read: Callable[[int, int], bytes]
    va: VA
    regime: str

    def walk(self, kind: AccessKind) -> Walk:
        architecture, register = self.architecture, self.register
        access = Access(kind, architecture.privilege(register))
        refuses = partial(architecture.check, access=access, state=architecture.state(register))
        return walk(architecture.regime_for(register, self.va, self.regime), self.va, self.read, refuses)


def without(read: Callable[[int, int], bytes], page: int) -> Callable[[int, int], bytes]:
    def partly(pa: int, size_bytes: int) -> bytes:
        if page <= pa < page + 0x1000:
            raise Unreadable(pa, size_bytes, "there is no memory")  # type: ignore[arg-type]
        return read(pa, size_bytes)

    return partly


def arms() -> Guest:
    memory = truth.Memory()
    memory.stage1(READ_ONLY, output=truth.IPA)
    memory.identity(0b11 << 6 | 0b1111 << 2)
    memory.stage2(0b11 << 6 | 0b1111 << 2)
    table = memory.leaf_at(truth.S2_ROOT, truth.IPA) & -0x1000
    return Guest(
        ARCHITECTURES["aarch64"], reader(truth.guest()), without(memory.read, table), VA(truth.VA), "el1",
    )  # fmt: skip


def riscvs(**protection: int) -> Guest:
    hart = guest(V | R | AD, V | R | W | X | U | AD, **protection)
    # The page is led to a GPA whose table is where no memory is: that of the tables themselves is there.
    hart.memory[RAM + 0x12000] = 0x4000_0000 >> 12 << 10 | V | R | AD
    hart.memory[RAM + 8] = RAM + 0x7000 >> 12 << 10 | V
    read = without(hart.read, RAM + 0x7000)
    return Guest(ARCHITECTURES["riscv64"], reader(hart.regs), read, VA(0), "vs")


RAM_ALONE = {"pmpcfg0": 0x1F, "pmpaddr0": RAM >> 2 | (0x1000_0000 >> 3) - 1}
"""Of physical memory protection, which is no guest physical address's."""
GUESTS = [arms, riscvs, partial(riscvs, **RAM_ALONE)]


@pytest.mark.parametrize("made", GUESTS, ids=["aarch64", "riscv64", "riscv64, protected"])
def test_what_is_not_reached_need_not_be_there(made: Callable[[], Guest]) -> None:
    refusal = made().walk(AccessKind.WRITE).refusal
    assert refusal is not None
    assert (refusal.fault.kind, refusal.fault.stage) == (FaultKind.PERMISSION, 1)


@pytest.mark.parametrize("made", GUESTS, ids=["aarch64", "riscv64", "riscv64, protected"])
def test_what_is_reached_is_neither_mapped_nor_refused_where_it_is_not_there(made: Callable[[], Guest]) -> None:
    with pytest.raises(Unreadable):
        made().walk(AccessKind.READ)
