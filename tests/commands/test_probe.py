"""`probe` as it is shown: what was asked of whom, answered by each, on a screen of 80 columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.aarch64.exception_levels import LEVELS
from gdbtools.arch.gadgets import Borrowable, Extent, Scope, Use
from gdbtools.arch.model import Access, AccessKind, Fault, FaultKind
from gdbtools.arch.walk import walk
from gdbtools.commands.probe.run import Probe
from gdbtools.commands.probe.view import record, view
from gdbtools.render.document import Table
from gdbtools.render.text import render
from gdbtools.repair.find_gadget import Loan
from gdbtools.repair.probe import Ask, ProbePlan
from gdbtools.repair.tlb import Invalidation
from tests.tables import Tables, reader

ARM = ARCHITECTURES["aarch64"]
READ = Access(AccessKind.READ, LEVELS[1], unprivileged=True)
VA, PA = 0x7FFF_FFFF_F000, 0x4_89AB_C000
CODE = 0xFFFF_8000_0812_3458
KIND = Borrowable(0, 0, lambda word: None, size_bytes=4)


def loan(text: str) -> Loan:
    return Loan(CODE, 0, KIND, Use(text, {}))


def asked(mapped: bool) -> Ask:
    """A load that the hardware refuses; the tables map the address or not."""
    tables = Tables()
    if mapped:
        tables.map(VA, PA, AP=0b01)
    found = walk(ARM.regime_for(reader(tables.registers()), VA), VA, tables.read)
    refused = ARM.check(found, READ, 0)
    fault = Fault(FaultKind.TRANSLATION, level=3)
    return Ask(
        READ, loan("LDTRB W12, [X13]"), found, refused, None, fault, None, None, None if refused else 0x7F, None, None
    )


def shown(first: Sequence[Ask], again: Sequence[Ask]) -> list[str]:
    tlbi = Invalidation("TLBI", (Scope(Extent.ADDRESS, VA),), (loan("TLBI VAAE1IS, X12"),), (), False)
    plan = ProbePlan(VA, [(READ, each.loan) for each in first], {}, False, tlbi)
    document = view(Probe(ARM, plan, READ, first, again))
    (table, *_) = [each for each in document.blocks if isinstance(each, Table)]
    lines = render(replace(document, blocks=[table])).splitlines()
    assert max(map(len, render(document, fit=True).splitlines())) <= 80
    return lines


def test_a_row_is_a_line_of_80_columns_and_every_cell_is_whole() -> None:
    assert shown([asked(True)], [asked(False)]) == [
        "access           hardware                    tables",
        "read             translation fault, level 3  allowed -> 0x489abc000, 0x7f there",
        "read after TLBI  translation fault, level 3  translation fault, level 0",
    ]


def test_the_same_access_is_offered_again_as_the_same_guest() -> None:
    """What hardware refuses and the tables allow is asked once more behind an invalidation: of the same regime."""
    riscv = ARCHITECTURES["riscv64"]
    (user, _), first = riscv.reads_code[::-1], replace(asked(True), access=Access(AccessKind.READ, LEVELS[1]))
    plan = ProbePlan(VA, [(first.access, first.loan)], {}, False, None, regime="vs")
    for kind, words in ((AccessKind.READ, ""), (AccessKind.WRITE, " --access write")):
        said = " ".join(render(view(Probe(riscv, plan, Access(kind, user), [first], ()))).split())
        assert f"next mmu probe {VA:#x} --regime vs --privilege vu{words} --tlbi " in said


def test_a_write_that_was_not_tried_is_not_said_to_have_been() -> None:
    """A store writes what a load has got: where the load is refused there is nothing to try."""
    first = asked(True)
    plan = ProbePlan(VA, [(READ, first.loan)], {}, False, None)
    for kind in (AccessKind.READ, AccessKind.WRITE):
        answer = Probe(ARM, plan, Access(kind, LEVELS[1]), [first], ())
        (line, *_) = render(view(answer), width=1000).splitlines()
        untried = kind is AccessKind.WRITE
        assert ("not tried, as the read before it was refused; of that, the hardware refuses" in line) == untried
        assert record(answer).get("tried", True) is not untried
