"""Xen on AArch64: its domains, found without symbols, by pointers that lead where they must.

What VTTBR_EL2 is loaded with for a domain stands in its `struct p2m_domain`, which is a part of its `struct domain`: a
page of its own, to whose beginning a pointer of the p2m leads back.  How far into the page both are depends on the
release and on how it was built; one domain that is found tells it for all of them.

Source: Xen, xen/include/xen/sched.h, `struct domain`, `struct vcpu`; xen/arch/arm/include/asm/p2m.h, `struct
p2m_domain`; xen/common/domain.c, `alloc_domain_struct`.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gdbtools.addresses import PA
from gdbtools.arch.aarch64.registers.hypervisor import VTTBR
from gdbtools.arch.aarch64.translation import regimes
from gdbtools.arch.model import Read, ReadRegister, Regime
from gdbtools.errors import Unavailable, Unreadable
from gdbtools.systems.kept_guests import KeptCpu, KeptGuest
from gdbtools.systems.structures import WORD_BYTES, Extent, chunks, leads_to, places_of
from gdbtools.units import PAGE_BYTES

_PAGE: Final = struct.Struct("<512Q")
_HEAD: Final = struct.Struct("<H2xI")
"""The domain's number, and how many virtual CPUs it may have."""
_VCPU: Final = struct.Struct("<II3Q")
"""The number, the processor, and what has the pointer to `struct domain`.

Before that is where the guest has its `struct vcpu_info`: a pointer, from 4.18 on a `struct guest_area` of two.
"""
_EL1H: Final = 0b0101
_ROOT_BYTES: Final = 6
"""Of a word of VTTBR_EL2, whose others are the VMID."""
_DOMAINS: Final = 0x7FF0
"""Numbers from here on are no domains', but stand for something (`DOMID_FIRST_RESERVED`)."""
_MOST_CPUS: Final = 4096
_NO_NAMES: Final = "Xen itself keeps no names of its domains: those are in XenStore, in the memory of one of them"


@dataclass(frozen=True, slots=True)
class _Places:
    """How far into its page a `struct domain` has what VTTBR_EL2 is loaded with, and the pointer back to the page.

    `offset` is what the virtual address of the page has more than its physical one.
    """

    loaded: int
    back: int
    offset: int


def domains(register: ReadRegister, read: Read, data: Sequence[Extent], roots: Collection[int]) -> Sequence[KeptGuest]:
    """Return every domain that has a second stage; nothing where none of `roots` is found to be a domain's.

    `data` is where memory has anything, `roots` are those of second stages that are known.
    """
    try:
        [own] = regimes.regimes(register, "el2")
    except Unavailable:
        return ()
    places = next(_anchors(own, read, data, roots), None)
    return () if places is None else [*_all(own, places, read, data)]


def _anchors(own: Regime, read: Read, data: Sequence[Extent], roots: Collection[int]) -> Iterator[_Places]:
    """Yield where a page has a word for VTTBR_EL2, with the root of a second stage, and a pointer to itself."""
    for first, chunk in chunks(data, read):
        for root in roots:
            for at in places_of(root.to_bytes(_ROOT_BYTES, "little"), chunk):
                if chunk[at + _ROOT_BYTES : at + WORD_BYTES] != b"\0\0":
                    yield from _pointing_back(own, read, first + at)


def _pointing_back(own: Regime, read: Read, pa: int) -> Iterator[_Places]:
    page = pa & -PAGE_BYTES
    words = _PAGE.unpack(read(PA(page), PAGE_BYTES))
    for index, word in enumerate(words):
        if word and word % PAGE_BYTES == 0 and leads_to(own, read, word) == page and _is_domain(words):
            yield _Places(pa - page, index * WORD_BYTES, word - page)
            return


def _all(own: Regime, places: _Places, read: Read, data: Sequence[Extent]) -> Iterator[KeptGuest]:
    """Yield the domains of all pages that have the pointer to themselves at the same place."""
    for first, chunk in chunks(data, read):
        backs = memoryview(chunk)[places.back : places.back + len(chunk) - PAGE_BYTES + WORD_BYTES].cast("Q")
        for number, back in enumerate(backs[:: PAGE_BYTES // WORD_BYTES]):
            page = first + number * PAGE_BYTES
            if back == page + places.offset and leads_to(own, read, back) == page:
                words = _PAGE.unpack_from(chunk, number * PAGE_BYTES)
                loaded = VTTBR(words[places.loaded // WORD_BYTES])
                if loaded.BADDR and loaded.VMID and _is_domain(words):
                    yield _domain(own, PA(page), back, loaded, words, read)


def _domain(own: Regime, page: PA, address: int, loaded: VTTBR, words: Sequence[int], read: Read) -> KeptGuest:
    number, most = _HEAD.unpack(words[0].to_bytes(WORD_BYTES, "little"))
    cpus = next(filter(None, (_cpus(own, read, word, most, address) for word in words)), ())
    evidence = [
        f"its struct domain is at PA {page:#x}: it has what VTTBR_EL2 is loaded with, {int(loaded):#x}, and a pointer "
        f"to itself, {address:#x}"
    ]
    if cpus:
        evidence.append("each of its virtual CPUs has its own number, and points back to it")
    limits = (_NO_NAMES,) if cpus else (_NO_NAMES, "its virtual CPUs were not found")
    root, registers = PA(loaded.base(False)), {"VTTBR_EL2": int(loaded), "cpsr": _EL1H}
    return KeptGuest(
        f"domain {number}", loaded.VMID, root, registers, cpus, tuple(evidence), ((page, PAGE_BYTES),), limits
    )


def _cpus(own: Regime, read: Read, word: int, most: int, domain: int) -> tuple[KeptCpu, ...]:
    """Return the virtual CPUs of an array of pointers to them; nothing where a word leads to no such array."""
    array = leads_to(own, read, word) if word and word % WORD_BYTES == 0 else None
    if array is None:
        return ()
    found: list[KeptCpu] = []
    try:
        pointers = struct.unpack(f"<{most}Q", read(PA(array), most * WORD_BYTES))
        for index, pointer in enumerate(pointers):
            at = leads_to(own, read, pointer) if pointer else None
            if pointer and at is None:
                return ()
            if at is not None:
                number, processor, *pointing = _VCPU.unpack(read(PA(at), _VCPU.size))
                if number != index or domain not in pointing[1:]:
                    return ()
                found.append(KeptCpu(number, processor))
    except Unreadable:
        return ()
    return tuple(found)


def _is_domain(words: Sequence[int]) -> bool:
    number: int
    cpus: int
    number, cpus = _HEAD.unpack(words[0].to_bytes(WORD_BYTES, "little"))
    return number < _DOMAINS and 0 < cpus <= _MOST_CPUS
