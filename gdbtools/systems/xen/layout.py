"""Where Xen for x86-64 keeps what, in the virtual addresses that it has in every guest's tables.

Source: Xen, xen/arch/x86/include/asm/config.h, "Memory layout"; xen/include/public/arch-x86/xen-x86_64.h,
`MACH2PHYS_VIRT_START`.
"""

from __future__ import annotations

from typing import Final

from gdbtools.addresses import VA

READ_ONLY_M2P: Final = VA(0xFFFF_8000_0000_0000)
"""The machine-to-physical table as guests may read it."""
M2P: Final = VA(0xFFFF_8280_0000_0000)
"""The same table as Xen writes it."""
M2P_END: Final = VA(0xFFFF_82C0_0000_0000)
FRAME_TABLE: Final = VA(0xFFFF_82E0_0000_0000)
"""A record for each frame of the machine."""
FRAME_TABLE_END: Final = VA(0xFFFF_8300_0000_0000)
DIRECT_MAP: Final = VA(0xFFFF_8300_0000_0000)
"""All of the machine's memory, one after another."""
DIRECT_MAP_END: Final = VA(0xFFFF_8800_0000_0000)
GUEST: Final = ((VA(0), VA(0x7FFF_FFFF_FFFF)), (DIRECT_MAP_END, VA(0xFFFF_FFFF_FFFF_FFFF)))
"""What a guest uses as it likes."""
PAGE_BITS: Final = 12
WORD_BYTES: Final = 8
INVALID: Final = (1 << 64) - 1
"""An entry of either table that says that there is none."""
IDENTITY: Final = 1 << 62
"""In a Linux guest's own table: the frame has the machine's number.  Linux, arch/x86/include/asm/xen/page.h."""
GRANTED: Final = 1 << 63
"""In a Linux guest's own table: the frame is another domain's, mapped by a grant."""


def in_direct_map(address: int) -> bool:
    return DIRECT_MAP <= address < DIRECT_MAP_END
