"""The plain GDB Python loop that a user would write against access-flag faults.

Sourced inside GDB by bench/faults.py, and what `mmu service` is measured against: it does only what is needed: 4 KiB
granule, 48 bits, no checks, no dirty state, a hard-coded eret.
"""

import time

import gdb

VECTORS = gdb.parse_and_eval("(unsigned long)&vectors")
ERET = int(gdb.parse_and_eval("(unsigned long)&exception_return"))
ACCESS_FLAG = 1 << 10


def register(name):
    return int(gdb.parse_and_eval(f"${name}")) & 0xFFFFFFFFFFFFFFFF


def physical(on):
    gdb.selected_inferior().connection.send_packet(f"Qqemu.PhyMemMode:{on}")


def repair(va):
    table = register("TTBR1_EL1" if va >> 55 & 1 else "TTBR0_EL1") & 0xFFFFFFFFF000
    inferior = gdb.selected_inferior()
    physical(1)
    for shift in (39, 30, 21, 12):
        at = table + (va >> shift & 0x1FF) * 8
        entry = int.from_bytes(inferior.read_memory(at, 8).tobytes(), "little")
        if shift == 12 or not entry & 2:
            inferior.write_memory(at, (entry | ACCESS_FLAG).to_bytes(8, "little"))
            break
        table = entry & 0xFFFFFFFFF000
    physical(0)


def main():
    for offset in (0, 0x200, 0x400, 0x600):
        gdb.execute(f"hbreak *{int(VECTORS) + offset:#x}", to_string=True)
    faults = 0
    started = time.monotonic()
    try:
        while True:
            gdb.execute("continue", to_string=True)
            if register("ESR_EL1") >> 2 & 0xF != 0b0010 or register("ESR_EL1") >> 29 & 7 != 0b100:
                continue
            repair(register("FAR_EL1"))
            gdb.execute(f"set $pc = {ERET}", to_string=True)
            faults += 1
    except gdb.error:
        pass
    seconds = time.monotonic() - started
    print(f"baseline {faults} {seconds}")


main()
