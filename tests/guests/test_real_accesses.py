"""Real loads, stores and fetches at EL1 and EL0, through one stage and two, against what walk and check predict.

Each run draws new states; the seed is printed, and GDBTOOLS_SEED=N repeats it. GDBTOOLS_ORACLE_STATES sets how many
are drawn for each machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.aarch64.causes import VMSACause
from gdbtools.arch.aarch64.registers.hypervisor import HCR_EL2, HPFAR_EL2
from gdbtools.arch.aarch64.registers.identification import ID_AA64MMFR1_EL1, ID_AA64MMFR2_EL1
from gdbtools.arch.aarch64.registers.translation import TCR_EL1
from gdbtools.arch.aarch64.tables.descriptors import EntryRole
from gdbtools.arch.aarch64.tables.geometry import levels_for
from gdbtools.arch.model import Access, AccessKind, FaultKind, Level, Mapped, Refusal, Walk
from gdbtools.arch.walk import walk
from gdbtools.errors import Unavailable
from tests.guests import packages
from tests.guests.oracle import (
    DATA,
    DATA_BYTES,
    HCR_RW,
    REGISTER_DEFAULTS,
    TABLES,
    Answer,
    Operation,
    Oracle,
    Outcome,
    Request,
    missing,
)
from tests.guests.states import FULL, MAIR, SEED, STATES, TG0, Drawing, Space, State, counting, ends_qemu_7, version_of
from tests.tables import reader

ARM = ARCHITECTURES["aarch64"]
PAN, UAO, EL1H = 1 << 22, 1 << 23, 0b0101
TAGGED = (1 << 56) - 1
PAGES = 1 << 16
STUB_VA = 0xFFFF_8000_0000_0000
SCTLR_WXN, SCTLR_SPAN, SCTLR_EPAN = 1 << 19, 1 << 23, 1 << 57
WANTED = {
    Operation.LOAD_EL1: Access(AccessKind.READ, 1),
    Operation.STORE_EL1: Access(AccessKind.WRITE, 1),
    Operation.FETCH_EL1: Access(AccessKind.EXECUTE, 1),
    Operation.LOAD_EL0: Access(AccessKind.READ, 0),
    Operation.STORE_EL0: Access(AccessKind.WRITE, 0),
    Operation.FETCH_EL0: Access(AccessKind.EXECUTE, 0),
    Operation.LDTR_EL1: Access(AccessKind.READ, 1, unprivileged=True),
    Operation.STTR_EL1: Access(AccessKind.WRITE, 1, unprivileged=True),
}
FROM_EL0 = (Operation.LOAD_EL0, Operation.STORE_EL0, Operation.FETCH_EL0)

pytestmark = [pytest.mark.guest, pytest.mark.skipif(bool(missing()), reason=missing())]


class Accesses(Drawing):
    """Draws states in which whatever is mapped in the lower range leads to the oracle's data pages."""

    def draw(self) -> State:
        random, registers = self.random, self.state.registers
        registers["SCTLR_EL1"] = (
            REGISTER_DEFAULTS["SCTLR_EL1"] | 1 | 1 << 2 | 1 << 12 | SCTLR_SPAN | random.randrange(2) * SCTLR_WXN
        )
        if self.has.pan_execution:
            registers["SCTLR_EL1"] |= random.randrange(2) * SCTLR_EPAN
        registers["MAIR_EL1"] = MAIR
        registers["HCR_EL2"] = HCR_RW
        second = None
        if self.mode == "two":
            registers["HCR_EL2"] = int(HCR_EL2(HCR_RW).with_(VM=1))
            second = self._stage2(legal=True)
        ds = bool(self.has.lpa2) and random.randrange(2) == 1
        lower, size, granule = self._shape(ds, False, EntryRole.TWO_LEVELS, False, "little")
        levels = levels_for(12, 48)
        layout = self._layout("4KB", ds, self.has.lpa2)
        self._next = -(-self._next // PAGES) * PAGES
        upper = Space(
            levels, 12, layout, EntryRole.TWO_LEVELS, False, FULL & -(1 << 48), 48, "little", self.table(1 << 12)
        )
        tcr = TCR_EL1(0).with_(
            T0SZ=size, TG0=TG0[granule], T1SZ=16, TG1=0b10, IPS=5, DS=int(ds), TBI0=random.randrange(2), SH0=3, SH1=3
        )
        if self.has.hierarchical_disable:
            tcr = tcr.with_(HPD0=random.randrange(2))
        if self.has.e0pd:
            tcr = tcr.with_(E0PD0=int(self.chance(8)))
        if self.has.access_flag:
            tcr = tcr.with_(HA=random.randrange(2))
        tcr = tcr.with_(TBID0=random.randrange(2) if self.has.small_tables else 0)
        registers |= {"TCR_EL1": int(tcr), "TTBR0_EL1": lower.root, "TTBR1_EL1": upper.root}
        self._page(upper, STUB_VA, {"AF": 1, "AP": 3, "AttrIndx": 4}, self.oracle.stub_pa)
        # What the stub needs is left alone at stage 2, whose pages may be as large as this.
        self._spared = range(upper.root, -(-self._next // PAGES) * PAGES)
        self._next = self._spared.stop
        for _ in range(random.randrange(1, 6)):
            offset = random.getrandbits(52) & ((1 << lower.input_bits) - 1)
            low = self._lay(lower, offset, self._leaf(lower))
            # Within what a large leaf maps, only the data pages may be touched.
            inside = DATA + random.randrange(DATA_BYTES) & (1 << low) - 1 & ~0x7FF
            va = offset & -(1 << low) | inside
            self.state.addresses += [va, va ^ random.getrandbits(8) << 56]
        if second is not None:
            self._map_all(second)
        return self.state

    def _ending(self, space: Space, level: Level, fields: dict[str, int], output: int | None) -> int:
        if output is None and space.role is EntryRole.TWO_LEVELS:
            fields = {**fields, "AttrIndx": 4, "nT": 0}
            fields.pop("nT")
            output = DATA + self.random.randrange(DATA_BYTES)
        return super()._ending(space, level, fields, output)

    def _map_all(self, space: Space) -> None:
        """Map tables, stub and data one to one at stage 2, but for some pages of them."""
        random = self.random
        granule = 1 << space.granule_bits
        good = {"AF": 1, "MemAttr": 0b1111, "S2AP": 3, "XN": 0}
        end = self._next
        tables = range(TABLES & -granule, end, granule)
        used = {va & TAGGED for va in self.state.addresses}
        pages = {*tables, self.oracle.stub_pa & -granule}
        odd = {page for page in tables if page not in self._spared and self.chance(40)}
        for va in used:
            for output in self._outputs(va):
                page = output & -granule
                if DATA <= page < DATA + DATA_BYTES:
                    pages.add(page)
                    odd |= {page} if random.randrange(2) else set()
        for page in sorted(pages):
            if page < 1 << space.input_bits and not (page in odd and page not in tables and self.chance(6)):
                fields = {**self._leaf(space), "MemAttr": 0b1111, "DBM": 0} if page in odd else good
                self._page(space, page, fields, page)


@pytest.fixture(
    scope="module", params=[(name, cpu) for name in ("system", "sid") for cpu in ("cortex-a57", "max")], ids="-".join
)
def oracle(request: pytest.FixtureRequest) -> Iterator[Oracle]:
    name, cpu = request.param
    try:
        qemu = packages.qemu(name)
    except Unavailable as why:
        pytest.skip(str(why))
    with Oracle(cpu, qemu=qemu) as oracle:
        yield oracle


@pytest.fixture(scope="module")
def counted(request: pytest.FixtureRequest) -> Iterator[Counter[str]]:
    yield from counting("real accesses")


def predict(oracle: Oracle, state: State, request: Request) -> tuple[Walk, Refusal | None]:
    register = reader({**oracle.identity, **state.registers, "cpsr": EL1H})
    found = walk(ARM.regime_for(register, request.va, "el1"), request.va, oracle.read)
    return found, ARM.check(found, WANTED[request.operation], request.pstate | EL1H)


def departs(version: str, request: Request, found: Walk, refusal: Refusal | None) -> bool:
    """Whether QEMU is known to do otherwise, so that it is not asked what would change a page or end it."""
    cause = refusal.decider.cause if refusal else None
    if cause is VMSACause.BLOCK_NOT_ALLOWED and version == "7.2":
        return True
    # WXN goes by what may be written; QEMU (all versions) lets Privileged Access Never take that away first.
    if (
        cause is VMSACause.WRITE_IMPLIES_EXECUTE_NEVER
        and request.pstate & PAN
        and request.operation is Operation.FETCH_EL1
    ):
        return True
    return ends_qemu_7(version, found, refusal)


def agrees(version: str, state: State, request: Request, found: Walk, refusal: Refusal | None, answer: Answer) -> bool:
    """Whether what happened is what was predicted; where the top byte is ignored, FAR need not keep it."""
    if refusal is None:
        return answer.outcome is Outcome.COMPLETED
    fault = refusal.fault
    syndrome = ARM.exceptions.decode(answer.syndrome)
    if syndrome.fault is None or syndrome.access_kind is None:
        return False
    tagged = TCR_EL1(state.registers["TCR_EL1"]).TBI0
    if (answer.far ^ request.va) & (TAGGED if tagged else FULL):
        return False
    if fault.stage == 1:
        same = syndrome.fault == fault and answer.outcome is Outcome.TAKEN_TO_EL1
        return same and syndrome.from_lower is (request.operation in FROM_EL0) and _same_access(syndrome, request)
    # QEMU 7.2 gives a stage 2 fault on a stage 1 walk the level of the stage 1 lookup.
    level = syndrome.fault.level if version != "7.2" or not fault.s1ptw else fault.level
    same = (syndrome.fault.kind, level, syndrome.s1ptw) == (fault.kind, fault.level, fault.s1ptw)
    if answer.outcome is not Outcome.TAKEN_TO_EL2 or not same:
        return False
    ipa = _faulting_ipa(found, fault.s1ptw)
    # "HPFAR_EL2": not for a plain stage 2 permission fault.
    if ipa is None or (fault.kind is FaultKind.PERMISSION and not fault.s1ptw):
        return True
    return HPFAR_EL2(answer.hpfar).FIPA == ipa & ~0xFFF


def _faulting_ipa(found: Walk, s1ptw: bool) -> int | None:
    """Return what stage 2 was asked for: a descriptor to fetch or to update, or the output."""
    if s1ptw:
        via = found.fetch.via if found.fetch else found.leaf.via if found.leaf else None
        return via.input if via else None
    return found.final.input if found.final else None


def _same_access(syndrome: object, request: Request) -> bool:
    return getattr(syndrome, "access_kind", None) is WANTED[request.operation].kind


def describe(state: State, request: Request, found: Walk, refusal: Refusal | None, answer: Answer) -> str:
    lines = [f"{request.operation.name} {request.va:#x} pstate {request.pstate:#x} mode {state.mode}"]
    lines += [f"  {name} {value:#x}" for name, value in state.registers.items()]
    for each in (found, found.fetch.via if found.fetch else None, found.final):
        for step in each.steps if each else ():
            where = f"stage {each.regime.stage} level {step.level.number} @ {step.pa:#x}" if each else ""
            lines.append(f"    {where} {step.entry.word!r} {step.entry.kind.label}")
    lines.append(f"  ours {refusal or found.outcome}")
    said = f"{answer.syndrome:#x} {ARM.exceptions.decode(answer.syndrome).fault} FAR {answer.far:#x}"
    lines.append(f"  QEMU {answer.outcome.name} {said} HPFAR {answer.hpfar:#x}")
    return "\n".join(lines)


def requests_of(oracle: Oracle, state: State) -> Iterator[Request]:
    pan = bool(ID_AA64MMFR1_EL1(oracle.identity["ID_AA64MMFR1_EL1"]).PAN)
    uao = bool(ID_AA64MMFR2_EL1(oracle.identity["ID_AA64MMFR2_EL1"]).UAO)
    for va in state.addresses:
        for operation, access in WANTED.items():
            # Loads and stores keep to the upper half of each 4 KiB, so that no store changes what is fetched.
            at = va & ~0x800 if access.kind is AccessKind.EXECUTE else va | 0x800
            for pstate in (0, *((PAN,) if pan else ()), *((UAO,) if uao and access.unprivileged else ())):
                yield Request(at, operation, pstate)


def test_real_exceptions_are_what_the_walk_and_the_check_predict(oracle: Oracle, counted: Counter[str]) -> None:
    version = version_of(oracle)
    different: list[str] = []
    for number in range(SEED, SEED + STATES):
        state = Accesses(oracle, number, ("el1", "two")).draw()
        asked = []
        for request in requests_of(oracle, state):
            found, refusal = predict(oracle, state, request)
            outside = isinstance(found.outcome, Mapped) and not DATA <= found.outcome.address < DATA + DATA_BYTES
            if refusal is None and outside:
                counted["not asked: it would touch what is not the test's"] += 1
            elif departs(version, request, found, refusal):
                counted["not asked: QEMU departs, or would end"] += 1
            else:
                asked.append((request, found, refusal))
        # Fetches first: QEMU would find what a load has left in the TLB, tagged address and all.
        asked.sort(key=lambda each: WANTED[each[0].operation].kind is not AccessKind.EXECUTE)
        answers = oracle.ask(state.registers, [request for request, _, _ in asked], STUB_VA)
        for (request, found, refusal), answer in zip(asked, answers, strict=True):
            kind = WANTED[request.operation].kind.label
            what = f"stage {refusal.fault.stage} {refusal.fault.kind.label}" if refusal else "completed"
            if agrees(version, state, request, found, refusal, answer):
                counted[f"{kind}: {what}"] += 1
            else:
                different.append(f"GDBTOOLS_SEED={number}\n{describe(state, request, found, refusal, answer)}")
    assert not different, f"{len(different)} differ on {oracle.cpu}, QEMU {version}; the first:\n{different[0]}"
