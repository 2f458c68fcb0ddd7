"""One step of one CPU that GDB does not notice, and its registers put back.

The step is a raw `vCont;s` packet for the selected CPU alone: the others stay stopped, and GDB runs no breakpoint
condition, no `commands`, no hooks, and prints nothing.  QEMU masks interrupts and stops its clock for it
(`qqemu.sstep`: NOIRQ, NOTIMER).  What GDB remembers of registers and memory is thrown away afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import gdb

from gdbtools.errors import GdbtoolsError, Refused, Unavailable
from gdbtools.live.console import console
from gdbtools.live.stub.registers import unsigned
from gdbtools.live.stub.target import Attachment

STOPPED = (b"T05", b"S05")
ATTEMPTS = 8
"""QEMU 7.2 says now and then that it has stepped, and has not: pc and memory are as they were (about 1 in 80 with
interrupts pending).  What is borrowed may be executed once more, whatever came of it before."""
QUIETLY = 7
"""`Qqemu.sstep`: ENABLE, NOIRQ and NOTIMER; the default."""


def step(attachment: Attachment, pc: str, registers: Mapping[str, int], touched: set[str]) -> None:
    """Set these registers of the selected CPU, `pc` among them, and execute one instruction that leads elsewhere.

    `touched` learns which they are.
    """
    attachment.release()
    touched.update(registers)
    write(registers)
    thread = gdb.selected_thread()
    assert thread is not None, "somebody is attached, and a CPU selected"
    process, number, _ = thread.ptid
    packet = attachment.stub.packet
    before = packet("qqemu.sstep")
    quietly = before in (b"", b"%#x" % QUIETLY)
    if not quietly:
        packet(f"Qqemu.sstep={QUIETLY:x}")
    try:
        for _ in range(ATTEMPTS):
            answer = packet(f"vCont;s:p{process:x}.{number:x}")
            forget()
            if not answer.startswith(STOPPED):
                raise Refused(f"the gdbstub would not step one CPU (it said {answer.decode(errors='replace')!r})")
            if read((pc,))[pc] != registers[pc]:
                return
    finally:
        forget()
        if not quietly:
            packet(f"Qqemu.sstep={int(before, 16):x}")
    raise Refused(f"the gdbstub stops again and again before the instruction at {registers[pc]:#x} is executed")


@contextmanager
def keeping(attachment: Attachment, names: Sequence[str], touched: set[str]) -> Iterator[None]:
    """Put these registers of the selected CPU back at the end of the block, whatever happened.

    Where the connection is gone, the error says what they were: of those that are `touched` until then.
    """
    attachment.release()
    touched.clear()
    with selection():
        before = read(names)
        error: BaseException | None = None
        try:
            yield
        except BaseException as failed:
            error = failed
            raise
        finally:
            _put_back(attachment, before, touched, error)


@contextmanager
def selection() -> Iterator[None]:
    """Select the CPU and the frame that are selected now again at the end of the block, whatever was meanwhile."""
    selected = gdb.selected_thread()
    level = gdb.selected_frame().level()
    try:
        yield
    finally:
        if selected is not None and selected.is_valid():
            selected.switch()
            _select(level)


def forget() -> None:
    """Have GDB ask again for every register, and for memory that it has read through the TLB."""
    for cache in ("register-cache", "dcache"):
        try:
            console(f"maintenance flush {cache}")
        except gdb.error:
            continue  # the connection is gone, and the caches with it


def _put_back(
    attachment: Attachment, before: Mapping[str, int], touched: set[str], error: BaseException | None
) -> None:
    why = f"{error}; " if isinstance(error, GdbtoolsError | gdb.error) else ""
    try:
        attachment.release()
        forget()
        now = read(tuple(before))
        write({name: value for name, value in before.items() if now[name] != value})
        now = read(tuple(before))
    except (gdb.error, GdbtoolsError) as failed:
        were = ", ".join(f"{name} = {before[name]:#x}" for name in sorted(touched))
        lost = f"the registers could not be put back; they were {were}" if were else "no register had been changed"
        raise Unavailable(f"{why or str(failed) + '; '}{lost}") from None
    wrong = [name for name, value in before.items() if now[name] != value]
    if wrong:
        raise Refused(f"{why}the gdbstub would not put back {', '.join(wrong)}")


def read(names: Sequence[str]) -> dict[str, int]:
    """Return registers of the selected CPU as unsigned integers."""
    frame = gdb.newest_frame()
    return {name: unsigned(frame.read_register(name)) for name in names}


def write(values: Mapping[str, int]) -> None:
    """Set registers; in another frame than the newest GDB refuses, and after pc was set there is a new newest."""
    for name, value in values.items():
        gdb.newest_frame().select()
        try:
            gdb.execute(f"set variable ${name} = {value:#x}", to_string=True)
        except gdb.error:
            # GDB looks for the frames anew once it is set, and may find a caller whose own it cannot ("PC not saved").
            if read((name,))[name] != value:
                raise


def _select(level: int) -> None:
    frame: gdb.Frame | None = gdb.newest_frame()
    while frame is not None and frame.level() < level:
        frame = frame.older()
    if frame is not None:
        frame.select()
