"""Sourced in GDB by the tests: what they ask of it beside gdbtools, by other ways than its own."""

import hashlib
import json  # noqa: F401

import gdb


def packet(text):
    answer = gdb.selected_inferior().connection.send_packet(text)
    return (answer or b"").decode()


def physically(text):
    """Send one packet in physical memory mode."""
    assert packet("Qqemu.PhyMemMode:1") == "OK"
    try:
        return packet(text)
    finally:
        packet("Qqemu.PhyMemMode:0")


def peek(pa, size):
    return physically(f"m{pa:x},{size:x}")


def poke(pa, value, size):
    return physically(f"M{pa:x},{size:x}:{value.to_bytes(size, 'little').hex()}")


def tables():
    """A digest of the guest's own array of tables, where its linker put it."""
    start, size = 0x40206000, 64 * 0x1000
    return hashlib.sha256("".join(peek(start + at, 0x800) for at in range(0, size, 0x800)).encode()).hexdigest()


def registers():
    """Every register of the selected CPU, as GDB prints it."""
    frame = gdb.newest_frame()
    return {each.name: str(frame.read_register(each.name)) for each in frame.architecture().registers()}


def value(expression):
    return int(gdb.parse_and_eval(expression)) & (1 << 64) - 1


def state():
    """Everything that a command which only looks must leave as it is."""
    mode = packet("qqemu.PhyMemMode")
    selected = [gdb.selected_thread().num, gdb.selected_frame().level()]
    return {"mode": mode, "selected": selected, "registers": registers(), "tables": tables()}


def breakpoints():
    """The numbers of all breakpoints, the invisible ones of GDB's users included."""
    listing = gdb.execute("maint info breakpoints", to_string=True)
    return [int(line.split()[0]) for line in listing.splitlines() if " hw breakpoint " in line and "." not in line[:4]]
