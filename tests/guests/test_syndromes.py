"""Every exception class that QEMU can raise, raised for real, against what the decoder and the manual say of it.

The instruction that a syndrome tells is compared with what binutils disassemble at the address of the exception.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

import pytest

from gdbtools.arch.aarch64.architecture import ARCHITECTURE as ARM
from gdbtools.arch.aarch64.exceptions.agreement_aarch32 import CLASSES as AARCH32_CLASSES
from gdbtools.arch.aarch64.registers.hypervisor import HPFAR_EL2
from gdbtools.arch.aarch64.registers.processor_state import SPSR
from gdbtools.arch.aarch64.syndrome import EC, ESR_ELx, decode
from gdbtools.arch.model import ExceptionRecord, Fit, ReadRegister, Return, Syndrome
from gdbtools.errors import Unavailable
from tests.guests import packages
from tests.guests.assembly import Code, assemble
from tests.guests.controls import EVERY_CASE
from tests.guests.packages import QEMU_SUITES
from tests.guests.states import SEED, counting
from tests.guests.syndromes import CODE, PSTATE_M, Record, Syndromes, missing
from tests.guests.triggers import TRIGGERS, lay
from tests.guests.triggers.departures import NO_QEMU_HAS, NOT_RAISED, departure
from tests.guests.triggers.model import AT, Trigger
from tests.tables import reader

ROOT_WORLD = "max,x-rme=on"
MACHINES = {
    "cortex-a57": ("cortex-a57", 2, ""),
    "cortex-a57 at EL3": ("cortex-a57", 3, ""),
    "max": ("max", 2, ",mte=on"),
    "max at EL3": ("max", 3, ""),
    "max with RME": (ROOT_WORLD, 3, ""),
}
"""CPU, the guest's level, what is added to the machine."""
TOLD = {
    EC.WF,
    EC.CP15_MCR_MRC,
    EC.CP15_MCRR_MRRC,
    EC.CP14_MCR_MRC,
    EC.LDC_STC,
    EC.VMRS,
    EC.OTHER_INSTRUCTION,
    EC.CP14_MRRC,
    EC.SVC_AARCH32,
    EC.HVC_AARCH32,
    EC.SMC_AARCH32,
    EC.SYSTEM_128,
    EC.SVC,
    EC.HVC,
    EC.SMC,
    EC.SYSTEM,
    EC.ERET,
    EC.MEMORY_OPERATION,
    EC.BKPT_AARCH32,
    EC.BRK,
}
"""The classes whose syndrome says which instruction it was."""
SERROR_OFFSET = 0x180

pytestmark = [pytest.mark.guest, pytest.mark.skipif(bool(missing()), reason=missing())]


@pytest.fixture(
    scope="module", params=[(name, machine) for name in ("system", *QEMU_SUITES) for machine in MACHINES], ids="-".join
)
def guest(request: pytest.FixtureRequest) -> Iterator[Syndromes]:
    name, machine = request.param
    try:
        qemu = packages.qemu(name)
    except Unavailable as why:
        pytest.skip(str(why))
    cpu, level, more = MACHINES[machine]
    if cpu == ROOT_WORLD and qemu.version.startswith("7."):
        pytest.skip(f"QEMU {qemu.version} has no RME")
    with Syndromes(cpu, level, qemu, more) as guest:
        lay(guest)
        yield guest


@pytest.fixture(scope="module")
def counted(request: pytest.FixtureRequest) -> Iterator[Counter[str]]:
    yield from counting("syndromes")


def spelled(text: str) -> str:
    """Return an instruction in one spelling: lower case, numbers in decimal, without the disassembler's comment."""
    plain = re.sub(r"\s+", " ", text.partition("//")[0].strip().lower())
    plain = re.sub(r"0x[0-9a-f]+", lambda number: str(int(number[0], 16)), plain)
    plain = re.sub(r"#(?=\d)", "", plain.replace(", ", ","))
    return re.sub(r"^cpy(f|\[f\])", "cpy", plain)  # which the syndrome does not tell


def vector_of(trigger: Trigger) -> int:
    """Return the entry: by the level it comes from, its stack pointer, and the width of the level below the target."""
    state = SPSR(trigger.case.pstate)
    narrow = bool(trigger.case.pstate & 0b10000)
    hcr = trigger.case.registers.get("HCR_EL2", EVERY_CASE["HCR_EL2"])
    offset = SERROR_OFFSET if trigger.serror else 0
    if not narrow and state.el == trigger.target:
        return offset + (0x200 if trigger.case.pstate & 1 else 0x000)
    in_host = hcr >> 27 & hcr >> 34 & 1
    if narrow and state.el == 0 and trigger.target == 2 and hcr >> 31 & 1 and not in_host:
        narrow = False  # EL1, the level below the target, is in AArch64
    return offset + (0x600 if narrow else 0x400)


def differences(trigger: Trigger, code: Code, record: Record | None) -> list[str]:
    """Return what is not as the manual has it, or not as the decoder says."""
    if record is None:
        return ["it hangs"]
    if record.completed:
        return ["no exception"]
    found = decode(record.esr)
    wrong = []

    def compare(what: str, got: object, expected: object) -> None:
        if got != expected:
            shown = [f"{each:#x}" if isinstance(each, int) else repr(each) for each in (got, expected)]
            wrong.append(f"{what} {shown[0]}, not {shown[1]}")

    compare("target", record.target, trigger.target)
    compare("EC", record.esr >> 26 & 0x3F, int(trigger.ec))
    if wrong:
        return wrong
    for name, value in trigger.fields.items():
        field = getattr(type(found.word), name, None)
        if field is None:
            wrong.append(f"{type(found.word).__name__} has no {name}")
            continue
        compare(name, getattr(found.word, name), value)
        if not found.word.applies(field):
            wrong.append(f"{name} does not apply")
    compare("vector", record.vector, vector_of(trigger))
    compare("SPSR's mode", record.spsr & PSTATE_M, trigger.case.pstate & PSTATE_M)
    if found.from_lower is not None:
        compare("from_lower", found.from_lower, SPSR(record.spsr).el < record.target)
    wrong += [*_addresses(trigger, code, record, found), *_instruction(trigger, code, found)]
    return wrong


def _addresses(trigger: Trigger, code: Code, record: Record, found: Syndrome) -> Iterator[str]:
    entry = CODE if trigger.case.entry is None else trigger.case.entry
    raised_at = entry + code.here if trigger.elr is None else trigger.elr
    length = 4 if ESR_ELx(record.esr).IL else 2
    expected = raised_at + length * trigger.returns_to_next
    if record.elr != expected:
        yield f"ELR {record.elr:#x}, not {expected:#x}"
    if trigger.elr is None and not trigger.serror:
        next_one = {Return.NEXT_INSTRUCTION: True, Return.THIS_INSTRUCTION: False}.get(found.returns)
        if next_one not in (None, trigger.returns_to_next):
            yield f"{found.returns} is wrong"
    if trigger.far is not None:
        if not found.address_valid:
            yield "FAR is not said to be valid"
        elif record.far != trigger.far:
            yield f"FAR {record.far:#x}, not {trigger.far:#x}"
    elif found.address_valid:
        yield "FAR is said to be valid"
    of_stage_2 = trigger.target == 2 and found.from_lower
    if of_stage_2 and found.ipa_valid is not (trigger.ipa is not None):
        yield f"HPFAR is said to be valid: {found.ipa_valid}"
    elif trigger.ipa is not None and HPFAR_EL2(record.hpfar).FIPA != trigger.ipa & ~0xFFF:
        yield f"HPFAR {HPFAR_EL2(record.hpfar).FIPA:#x}, not {trigger.ipa:#x}"


def _instruction(trigger: Trigger, code: Code, found: Syndrome) -> Iterator[str]:
    expected = trigger.instruction
    if expected is None:
        expected = code.text[code.here // 4] if trigger.ec in TOLD else ""
    if spelled(found.instruction) != spelled(expected):
        yield f"instruction {found.instruction!r}, not {expected!r}"
    if found.immediate != trigger.immediate:
        yield f"immediate {found.immediate}, not {trigger.immediate}"


def test_every_trigger_raises_what_the_manual_says_and_the_decoder_reads_it(
    guest: Syndromes, counted: Counter[str]
) -> None:
    triggers = [each for each in TRIGGERS if each.level == guest.level and all(map(guest.has, each.needs))]
    codes = assemble([each.case.source for each in triggers])
    wrong = []
    for trigger, code, record in zip(
        triggers, codes, guest.run_code([each.case for each in triggers], codes), strict=True
    ):
        differs = "; ".join(differences(trigger, code, record))
        known = departure(guest.version, guest.has, trigger)
        counted[f"departs: {known.what}" if known else f"EL{trigger.target}: {trigger.ec.name}"] += 1
        if known and not differs:
            wrong.append(f"{trigger.name}: departs no longer ({known.what})")
        elif differs and not (known and re.search(known.shows, differs)):
            wrong.append(f"{trigger.name}: {differs}\n    {record}")
    where = f"{guest.cpu} at EL{guest.level}, QEMU {guest.version}"
    assert not wrong, f"{len(wrong)} of {len(triggers)} differ on {where}:\n" + "\n".join(wrong)


def test_every_class_is_raised_or_said_why_not() -> None:
    there = [each for each in TRIGGERS if not set(each.needs) & NO_QEMU_HAS]
    raised = {each.ec for each in there if not departure("11.1", lambda _: True, each)}
    assert raised | NOT_RAISED.keys() == set(EC)
    assert not raised & NOT_RAISED.keys()


# --- Whether a syndrome is of the instruction at ELR.


@dataclass(frozen=True)
class Raised:
    """An exception as registers have it, the instruction that raised it, and the registers that it had."""

    trigger: Trigger
    exception: ExceptionRecord
    word: int
    general: ReadRegister


def raised(trigger: Trigger, code: Code, record: Record) -> Raised:
    el = record.target
    registers = {
        "cpsr": AT[el],
        "pc": record.vector,
        "ID_AA64PFR0_EL1": 0x1111,
        "SCR_EL3": 1 | 1 << 10,
        "HCR_EL2": trigger.case.registers.get("HCR_EL2", EVERY_CASE["HCR_EL2"]),
        f"ESR_EL{el}": record.esr,
        f"FAR_EL{el}": record.far,
        f"ELR_EL{el}": record.elr,
        f"SPSR_EL{el}": record.spsr,
        **{f"x{number}": value for number, value in enumerate(record.x)},
    }
    read = reader(registers)
    return Raised(trigger, ARM.exceptions.record(read), code.words[code.here // 4], read)


def exceptions_of(guest: Syndromes) -> list[Raised]:
    """Raise everything that this guest can, and leave out what is known to depart from the manual."""
    triggers = [each for each in TRIGGERS if each.level == guest.level and all(map(guest.has, each.needs))]
    codes = assemble([each.case.source for each in triggers])
    records = guest.run_code([each.case for each in triggers], codes)
    return [
        raised(trigger, code, record)
        for trigger, code, record in zip(triggers, codes, records, strict=True)
        if record is not None and not record.completed and not departure(guest.version, guest.has, trigger)
    ]


def test_every_exception_fits_the_instruction_that_raised_it_and_hardly_any_fits_anothers(
    guest: Syndromes, counted: Counter[str]
) -> None:
    found = exceptions_of(guest)
    assert len(found) > 5
    wrong = []
    for each in found:
        agreed = ARM.exceptions.fits(each.exception, each.word, each.general)
        counted[f"its own instruction: {agreed.fit.name}"] += 1
        if agreed.fit is Fit.CONTRADICTS or (agreed.fit is not Fit.FITS and each.trigger.ec in AARCH32_CLASSES):
            wrong.append(f"{each.trigger.name}: {agreed.reason}")
    assert not wrong, f"{len(wrong)} of {len(found)} do not fit their own:\n" + "\n".join(wrong)

    # An interrupt leaves ELR and SPSR of whatever it came after.
    random, refused, pairs = Random(SEED), 0, 0
    a64 = [each for each in found if not SPSR(each.exception.state).is_aarch32 and not each.trigger.serror]
    a32 = [each for each in found if SPSR(each.exception.state).is_aarch32 and each.trigger.ec in AARCH32_CLASSES]
    for each in (*a64, *a32):
        other = random.choice(a32 if SPSR(each.exception.state).is_aarch32 else a64)
        if (other.trigger.ec, other.word) == (each.trigger.ec, each.word):
            continue
        mixed = replace(each.exception, return_address=other.exception.return_address, origin=other.exception.origin)
        agreed = ARM.exceptions.fits(replace(mixed, state=other.exception.state), other.word)
        pairs += 1
        refused += agreed.fit is Fit.CONTRADICTS
        counted[f"another's instruction: {agreed.fit.name}"] += 1
    assert pairs < 50 or refused > 0.75 * pairs, f"{refused} of {pairs}"
