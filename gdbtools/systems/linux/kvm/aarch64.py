"""KVM's machines on AArch64, found without symbols: by the root of a second stage, and by pointers that lead back.

`struct kvm_s2_mmu` has a VMID, the root's physical address and a pointer to `struct kvm_pgtable`, which has how the
root is laid out, the root by the kernel's own address and a pointer back.  It is a part of `struct kvm`, whose virtual
CPUs point to both.  The VTCR_EL2 that a machine is loaded with stands behind all that: what is laid out as `struct
kvm_pgtable` says is it.

A kernel that keeps EL1 to itself (nVHE) has nothing of its own in the registers while a machine runs: then all this
lies in its linear map, and `struct kvm_arch`, which begins with `struct kvm_s2_mmu`, is pointed to by that.

Source: Linux 5.10 to 6.12, arch/arm64/include/asm/kvm_host.h, kvm_pgtable.h; arch/arm64/kvm/vmid.c;
include/linux/kvm_host.h, `struct kvm`, `struct kvm_vcpu`; include/linux/xarray.h, `struct xa_node`.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from gdbtools.addresses import PA
from gdbtools.arch.aarch64.registers.hypervisor import VTCR_EL2, VTTBR
from gdbtools.arch.aarch64.translation import regimes
from gdbtools.arch.isolation import overlaid
from gdbtools.arch.model import Read, ReadRegister
from gdbtools.errors import Unavailable, Unreadable
from gdbtools.systems.kept_guests import KeptCpu, KeptGuest
from gdbtools.systems.linux.kernel_memory import KERNEL, KernelMemory, by_distance, by_tables
from gdbtools.systems.linux.processes import Process, owner
from gdbtools.systems.structures import WORD_BYTES, Extent, chunks, places_of
from gdbtools.units import PAGE_BYTES

_EL1H: Final = 0b0101
_BEFORE: Final = (1, 2)
"""Words of the VMID in front of the root: since 5.16, and before that."""
_STAGE_WORDS: Final = 16
_LAYOUT_WORDS: Final = 6
_MACHINE_BYTES: Final = 1 << 14
_MACHINE_WORDS: Final = _MACHINE_BYTES // WORD_BYTES
"""More than there is of `struct kvm` in front of the second stage; a `struct kvm_vcpu` is no larger."""
_OWNER_WORDS: Final = 64
"""Of the beginning of `struct kvm`, which has its `mm`."""
_NODE_MARK: Final = 2
_NODE_WORDS: Final = 5
"""The low bits of a pointer to a `struct xa_node`, and the words in front of its slots."""
_SLOTS: Final = 64
_CPU_AT: Final = 4
"""Of `struct kvm_vcpu`, in words: behind `kvm` and the three of its `preempt_notifier`, which KVM selects."""
_HALF: Final = 0xFFFF_FFFF
_ADDRESS_BITS: Final = 64


@dataclass(frozen=True, slots=True)
class _MachineStage:
    """A `struct kvm_s2_mmu`: its words and its address, by the kernel's own memory, and how its root is laid out.

    `pa` is where it has the root, `before` how many words are in front of that.
    """

    memory: KernelMemory
    pa: PA
    words: Sequence[int]
    address: int
    before: int
    input_bits: int
    start_level: int


def machines(register: ReadRegister, read: Read, data: Sequence[Extent], roots: Collection[int]) -> Sequence[KeptGuest]:
    """Return every machine whose root is one of `roots`, that KVM's own structures lead to.

    `data` is where memory has anything.
    """
    tables = [*_kernels(register, read)]
    found: dict[int, KeptGuest] = {}
    for first, chunk in chunks(data, read):
        for root in roots:
            for at in places_of(root.to_bytes(WORD_BYTES, "little"), chunk):
                for memory in (*tables, *_linear(read, first + at)):
                    stage = _stage(memory, first + at, root)
                    if stage is not None:
                        _gather(register, root, stage, found)
    return [*found.values()]


def _gather(register: ReadRegister, root: int, stage: _MachineStage, found: dict[int, KeptGuest]) -> None:
    """Add a machine and, by the list that KVM has of all, every other."""
    left = [(root, stage)]
    while left:
        root, stage = left.pop()
        if root not in found:
            kvm, cpus = _cpus(stage)
            found[root] = _machine(register, PA(root), stage, kvm, cpus)
            left += _listed(stage, kvm) if kvm is not None else ()


def _listed(stage: _MachineStage, kvm: int) -> Iterator[tuple[int, _MachineStage]]:
    """Yield the neighbours of a machine in KVM's list of all, with their roots: `vm_list` is at one place in each."""
    memory, inside = stage.memory, stage.address - kvm
    for at, word in enumerate(memory.words(kvm, inside // WORD_BYTES)):
        # The second word of a `struct list_head` leads back to the first one of another.
        for first in (at, at - 1):
            address = word - first * WORD_BYTES + inside
            words = memory.words(address, _STAGE_WORDS) if address != stage.address else ()
            pa = memory.leads(address) if len(words) > stage.before else None
            if pa is not None and (root := words[stage.before]) and root % PAGE_BYTES == 0:
                other = _stage(memory, pa + stage.before * WORD_BYTES, root)
                if other is not None and other.address == address:
                    yield root, other


def _kernels(register: ReadRegister, read: Read) -> Iterator[KernelMemory]:
    """Yield memory by the upper ranges of EL2's tables and of EL1's, of which one may be the host's."""
    for name in ("el2-vhe", "el1"):
        with suppress(Unavailable):
            upper = regimes.regimes(register, name)[-1]
            if upper.levels and upper.first >= KERNEL:
                yield by_tables(upper, read)


def _linear(read: Read, pa: int) -> Iterator[KernelMemory]:
    """Yield memory as it lies if a word near the root is the kernel's address of the structure that has both."""
    for word in _words_at(read, pa):
        for before in _BEFORE:
            distance = word - (pa - before * WORD_BYTES)
            if word >= KERNEL and distance % PAGE_BYTES == 0:
                yield by_distance(distance, read)


def _words_at(read: Read, pa: int) -> tuple[int, ...]:
    try:
        return struct.unpack(f"<{_STAGE_WORDS}Q", read(PA(pa), _STAGE_WORDS * WORD_BYTES))
    except Unreadable:
        return ()


def _stage(memory: KernelMemory, pa: int, root: int) -> _MachineStage | None:
    """Return the structure that has a root at a physical address, where what it points to leads back to it."""
    words = _words_at(memory.read, pa)
    layout = memory.words(words[1], _LAYOUT_WORDS) if words else ()
    if len(layout) < _LAYOUT_WORDS or memory.leads(layout[1]) != root:
        return None
    for address in layout[2:]:
        for before in _BEFORE:
            if memory.leads(address) == pa - before * WORD_BYTES:
                found = memory.words(address, _STAGE_WORDS)
                level = layout[0] >> 32 & 0xFF
                return _MachineStage(memory, PA(pa), found, address, before, layout[0] & _HALF, (level ^ 0x80) - 0x80)
    return None


def _machine(
    register: ReadRegister, root: PA, stage: _MachineStage, kvm: int | None, cpus: tuple[KeptCpu, ...]
) -> KeptGuest:
    vtcr = _control(register, root, stage)
    vmid = _identifier(stage, vtcr)
    registers = {"VTTBR_EL2": int(VTTBR(root).with_(VMID=vmid or 0)), "cpsr": _EL1H}
    process = None if kvm is None else _owner(stage.memory, kvm)
    evidence = [
        f"its struct kvm_s2_mmu is at PA {stage.pa - stage.before * WORD_BYTES:#x}: that and its struct kvm_pgtable "
        "point to each other, and both have the root"
    ]
    limits = []
    if vtcr is None:
        limits.append("its VTCR_EL2 was not found: the second stage is laid out as the CPU's")
    else:
        registers["VTCR_EL2"] = int(vtcr)
        laid_out = f"{stage.input_bits} bits from level {stage.start_level}"
        evidence.append(f"VTCR_EL2 {int(vtcr):#x} stands there: {laid_out}, as struct kvm_pgtable has it")
    if vmid is None:
        limits.append("it has no VMID: no CPU has been loaded with it yet")
    if kvm is None:
        limits.append("its virtual CPUs and its process were not found")
    else:
        evidence.append(f"its struct kvm, at {kvm:#x}, and its virtual CPUs point to each other")
    if kvm is not None and process is None:
        limits.append("which process it is of is not known: no task leads back to its struct kvm")
    elif process is not None:
        evidence.append(f"{process}: its mm is the machine's, and the task and its struct pid point to each other")
    places = ((PA(stage.pa & -PAGE_BYTES), PAGE_BYTES),)
    name = "" if process is None else str(process)
    return KeptGuest(name, vmid, root, registers, cpus, tuple(evidence), places, tuple(limits))


def _control(register: ReadRegister, root: PA, stage: _MachineStage) -> VTCR_EL2 | None:
    """Return the VTCR_EL2 that stands behind the root: the word that lays a second stage out as the root is."""
    for word in stage.words[stage.before :]:
        vtcr = VTCR_EL2(word)
        if word >= KERNEL or not word & VTCR_EL2.RES1 or vtcr.T0SZ + stage.input_bits != _ADDRESS_BITS:
            continue
        with suppress(Unavailable):
            [regime] = regimes.regimes(overlaid(register, {"VTCR_EL2": word, "VTTBR_EL2": root}), regimes.STAGE2)
            if regime.levels and regime.levels[0].number == stage.start_level:
                return vtcr
    return None


def _identifier(stage: _MachineStage, vtcr: VTCR_EL2 | None) -> int | None:
    """Return the VMID; None where it has none yet, or how long VMIDs are is not known."""
    if stage.before > 1:
        generation, vmid = stage.words[0], stage.words[1] & _HALF
        return vmid if generation else None
    if vtcr is None:
        return None
    generation, vmid = divmod(stage.words[0], 1 << (16 if vtcr.VS else 8))
    return vmid if generation else None


def _cpus(stage: _MachineStage) -> tuple[int | None, tuple[KeptCpu, ...]]:
    """Return where the `struct kvm` of a second stage is, and its virtual CPUs; None and none where none is found."""
    found: dict[int, Sequence[int]] = {}
    for at, word in _in_front(stage):
        for pointer in _pointers(stage.memory, at, word):
            words = stage.memory.words(pointer, _MACHINE_WORDS)
            if _is_cpu(words, at, stage) and not words[0] <= pointer <= stage.address:
                found[pointer] = words
    if not found:
        return None, ()
    # Another one in front of it may be within reach, but none is in between.
    kvm = max(words[0] for words in found.values())
    ours = [words for words in found.values() if words[0] == kvm]
    numbered = sorted((words[_CPU_AT + 1] & _HALF, words[_CPU_AT]) for words in ours)
    if [index for index, _ in numbered] != [*range(len(numbered))]:
        return kvm, ()
    processors = [(word >> 32, word & _HALF) for _, word in numbered]
    return kvm, tuple(KeptCpu(number, None if on == _HALF else on) for number, on in processors)


def _is_cpu(words: Sequence[int], at: int, stage: _MachineStage) -> bool:
    """Return whether this is a `struct kvm_vcpu` that points back to what has a pointer to it, and to its stage."""
    # A `struct kvm` is of whole pages: `kvm_arch_alloc_vm` takes more than half a page from kzalloc, or __vmalloc.
    if len(words) <= _CPU_AT + 1 or words[0] % PAGE_BYTES or not at - _MACHINE_BYTES < words[0] <= at:
        return False
    return words[_CPU_AT - 1] >= KERNEL and stage.address in words


def _in_front(stage: _MachineStage) -> Iterator[tuple[int, int]]:
    """Yield the words in front of a second stage, each with its address, back to where nothing is mapped."""
    page = stage.address & -PAGE_BYTES
    for first in range(page, page - _MACHINE_BYTES, -PAGE_BYTES):
        words = stage.memory.words(first, PAGE_BYTES // WORD_BYTES)
        if not words:
            return
        yield from ((first + at * WORD_BYTES, word) for at, word in enumerate(words))


def _pointers(memory: KernelMemory, at: int, word: int) -> Sequence[int]:
    """Return what a word may point to: itself, or the slots of an array's one node, which points to the array."""
    if word & 3 != _NODE_MARK:
        return (word,) if word >= KERNEL else ()
    node = memory.words(word - _NODE_MARK, _NODE_WORDS + _SLOTS)
    if len(node) < _NODE_WORDS or node[2] != at - WORD_BYTES:
        return ()
    return [each for each in node[_NODE_WORDS:] if each >= KERNEL]


def _owner(memory: KernelMemory, kvm: int) -> Process | None:
    """Return the process of a machine, by the `mm` at the beginning of its `struct kvm`."""
    pointers = (word for word in memory.words(kvm, _OWNER_WORDS) if word >= KERNEL)
    return next(filter(None, (owner(memory, each) for each in pointers)), None)
