"""Remembering pure functions of registers: never an answer that the registers do not give now."""

from __future__ import annotations

import random
from collections.abc import Hashable

from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import ReadRegister
from gdbtools.arch.regime_cache import LIMIT, Cached, CachedRegimes
from gdbtools.errors import Unavailable
from tests.tables import Tables, reader


def by_first(register: ReadRegister, key: Hashable) -> tuple[Hashable, ...]:
    """Ask for another register by what the first one says, as a regime does."""
    first = register("first")
    try:
        return key, first, register("odd" if first % 2 else "even")
    except Unavailable:
        return key, first, "absent"


def test_what_is_remembered_is_what_would_be_computed_whatever_changes() -> None:
    remembered = Cached(by_first)
    choose = random.Random(1)
    for _ in range(3000):
        names = [name for name in ("odd", "even") if choose.random() < 0.8]
        values = {"first": choose.randrange(6), **{name: choose.randrange(3) for name in names}}
        key = choose.randrange(2)
        assert remembered(reader(values), key) == by_first(reader(values), key)


def test_nothing_is_computed_twice_for_the_same_values() -> None:
    computed: list[Hashable] = []

    def compute(register: ReadRegister, key: Hashable) -> int:
        computed.append(key)
        return register("a") + register("b")

    remembered = Cached(compute)
    for _ in range(5):
        for a in range(3):
            assert remembered(reader({"a": a, "b": 1}), "key") == a + 1
    assert len(computed) == 3


def test_an_answer_that_asks_for_nothing_is_remembered_too() -> None:
    remembered = Cached(lambda register, key: key)
    assert [remembered(reader({}), 7), remembered(reader({}), 7)] == [7, 7]


def test_it_forgets_before_it_fills_memory() -> None:
    remembered = Cached(lambda register, key: register("a"))
    for a in range(3 * LIMIT):
        assert remembered(reader({"a": a}), 0) == a
    assert remembered._answers <= LIMIT


def test_a_remembered_regime_follows_each_register_that_decides() -> None:
    architecture = ARCHITECTURES["aarch64"]
    remembered = CachedRegimes(architecture)
    tables = Tables()
    changes: list[dict[str, int]] = [{}, {"TTBR0_EL1": 0x4020_0000}, {"SCTLR_EL1": 0x1004}, {"MAIR_EL1": 0}]
    changes += [{"TCR_EL1": tables.registers()["TCR_EL1"] | 1 << 37}, {"cpsr": 0}, {}]
    for change in changes:
        register = reader(tables.registers(**change))
        for address in (0x1000, 0xFFFF_8000_0000_1000, 0x12FF_0000_0000_1000):
            assert remembered(register, address, "el1") == architecture.regime_for(register, address, "el1")
