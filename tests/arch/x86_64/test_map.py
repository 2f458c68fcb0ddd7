"""What is listed as mapped is what walks of its addresses say, in each mode of paging, through nested tables or not."""

from __future__ import annotations

import pytest

from gdbtools.addresses import PA, VA
from gdbtools.arch.model import Hole, Mapped, Run, written_down
from gdbtools.arch.scan import scan
from gdbtools.arch.walk import walk
from gdbtools.arch.x86_64.architecture import X86_64
from gdbtools.errors import Unreadable
from tests.guests.x86.guest_states import MODES, GuestDrawing
from tests.guests.x86.oracle import RAM_BYTES

STATES = 6


@pytest.mark.parametrize("levels", [0, 4, 5])
@pytest.mark.parametrize("mode", MODES)
def test_each_address_is_listed_as_its_walk_has_it(mode: str, levels: int) -> None:
    met = {"mapped": 0, "refused below": 0, "not mapped": 0, "its table is withheld": 0}
    for number in range(STATES):
        state = GuestDrawing(mode, levels, number, 40).draw()

        def read(pa: PA, size_bytes: int, pages: dict[int, bytearray] = state.pages) -> bytes:
            if pa + size_bytes > RAM_BYTES:
                raise Unreadable(pa, size_bytes, "no memory is there")
            page = pages.get(pa & ~4095, bytearray(4096))
            return bytes(page[pa & 4095 : (pa & 4095) + size_bytes])

        register = written_down(state.registers | {"maxphyaddr": 40, "eflags": 2})
        listed = [each for regime in X86_64.regimes(register) for each in scan(regime, read)]
        for request in state.requests:
            address = VA(request.va)
            at = [each for each in listed if each.first <= address < each.first + each.size_bytes]
            try:
                found = walk(X86_64.regime_for(register, address), address, read)
            except Unreadable:
                continue
            if found.fetch is not None:
                met["its table is withheld"] += 1
                assert [isinstance(each, Hole) and each.refusal is not None for each in at] == [True]
            elif found.refusal is not None:
                met["not mapped"] += 1
                assert at == []
            else:
                (run,) = at
                assert isinstance(run, Run)
                assert found.destination is not None
                assert run.output == found.destination.address - run.offset_of(address)
                met["mapped" if isinstance(found.outcome, Mapped) else "refused below"] += 1
    assert met["mapped"] > STATES
    assert met["not mapped"]
    assert bool(met["its table is withheld"]) == bool(levels)
