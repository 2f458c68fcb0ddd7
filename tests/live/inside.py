"""Sourced in GDB by the tests: what they ask of it beside gdbtools, by other ways than its own."""

import hashlib
import json  # noqa: F401
import os
import signal
import socket

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


def digest(parts):
    """A digest of what is in physical memory from each start to each end."""
    assert packet("Qqemu.PhyMemMode:1") == "OK"
    try:
        read = (packet(f"m{at:x},800") for start, end in parts for at in range(start, end, 0x800))
        return hashlib.sha256("".join(read).encode()).hexdigest()
    finally:
        packet("Qqemu.PhyMemMode:0")


def tables():
    """A digest of the guest's own array of tables, where its linker put it."""
    start, size = 0x40206000, 64 * 0x1000
    return digest([(start, start + size)])


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


ACTIONS = []


def from_now_on(number, action):
    """Have `action` happen before the packet of that number, of those that gdbtools sends; 0 only counts them."""
    from gdbtools.live.stub.memory import StubMemory

    ACTIONS[:] = [number, action, 0]
    if hasattr(StubMemory, "unwatched"):
        return
    StubMemory.unwatched = StubMemory.packet

    def watched(self, text):
        ACTIONS[2] += 1
        if ACTIONS[2] == ACTIONS[0]:
            ACTIONS[1]()
        return self.unwatched(text)

    StubMemory.packet = watched


def kill_at(number, pid):
    from_now_on(number, lambda: os.kill(pid, signal.SIGKILL))


def drop_at(number):
    from_now_on(number, drop)


def drop():
    """Cut GDB's connection, as a network does."""
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                with socket.socket(fileno=os.dup(int(name))) as each:
                    if str(each.getpeername()).endswith("/gdb"):
                        each.shutdown(socket.SHUT_RDWR)
        except OSError:
            continue


def poke_at(number, path, offset, value):
    """Have somebody else write eight bytes of the guest's RAM, through its file."""
    from_now_on(number, lambda: poke_file(path, offset, value))


def poke_file(path, offset, value):
    with open(path, "r+b") as ram:
        ram.seek(offset)
        ram.write(value.to_bytes(8, "little"))


def packets_sent():
    return ACTIONS[2]


def asked():
    """The pc of every CPU, past GDB's caches."""
    found = []
    for thread in sorted(gdb.selected_inferior().threads(), key=lambda each: each.num):
        pid, lwp, _ = thread.ptid
        packet(f"Hgp{pid:x}.{lwp:x}")
        found.append(int.from_bytes(bytes.fromhex(packet("p20")), "little"))
    selected = gdb.selected_thread().ptid
    packet(f"Hgp{selected[0]:x}.{selected[1]:x}")
    return found


def remembered():
    """The pc of every CPU, as GDB says it."""
    selected = gdb.selected_thread()
    found = []
    for thread in sorted(gdb.selected_inferior().threads(), key=lambda each: each.num):
        thread.switch()
        found.append(value("$pc"))
    selected.switch()
    return found
