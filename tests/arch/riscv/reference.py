"""A second witness: the manual's algorithm, step by step, over plain integers; nothing of gdbtools is in it.

Source: The RISC-V Privileged Architecture, "Virtual Address Translation Process", "Two-Stage Address Translation",
"Memory Privilege in mstatus Register", "Trap Cause Codes", "Physical Memory Protection", and Svnapot, Svpbmt, Svadu,
Zicfiss, Smepmp, pointer masking.  It does not set A and D: what would be set is only asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

Load = Callable[[int, int], int]
"""Returns the integer of so many bytes at a physical address."""
READ, WRITE, FETCH, HLVX = "read", "write", "fetch", "hlvx"
PAGE, GUEST, ACCESS = "page", "guest", "access"
CODES = {
    (FETCH, PAGE): 12, (READ, PAGE): 13, (HLVX, PAGE): 13, (WRITE, PAGE): 15,
    (FETCH, GUEST): 20, (READ, GUEST): 21, (HLVX, GUEST): 21, (WRITE, GUEST): 23,
    (FETCH, ACCESS): 1, (READ, ACCESS): 5, (HLVX, ACCESS): 5, (WRITE, ACCESS): 7,
}  # fmt: skip
DEPTHS = {(64, 8): 3, (64, 9): 4, (64, 10): 5, (32, 1): 2}


class Trap(Exception):
    """The exception that stops a translation: "page", "guest" or "access"."""


def outcome(regs: Mapping[str, int], load: Load, va: int, kind: str, mode: str, xlen: int = 64) -> tuple[str, int]:
    """Return ("fault", scause) or ("mapped", physical address) of an access."""
    try:
        return "mapped", _access(regs, load, va, kind, mode, xlen)
    except Trap as trap:
        return "fault", CODES[kind, str(trap)]


def _bit(value: int, place: int) -> int:
    return value >> place & 1


def _access(regs: Mapping[str, int], load: Load, va: int, kind: str, mode: str, xlen: int) -> int:
    status = regs.get("mstatus", 0)
    # Where XLEN is 32, two registers each.
    menvcfg, henvcfg = (regs.get(f"{name}h", 0) << 32 | regs.get(name, 0) for name in ("menvcfg", "henvcfg"))
    hs_mxr = _bit(status, 19)
    if mode == "m":
        _protected(regs, va, 1, kind, True, xlen)
        return va
    if mode in ("u", "s"):
        va = _masked(va, regs, "senvcfg" if mode == "u" else "menvcfg", kind, hs_mxr, "satp", xlen)
        found = _stage(regs, load, va, kind, mode == "u", regs["satp"], xlen, False, {
            "sum": _bit(status, 18), "mxr": hs_mxr, "adue": _bit(menvcfg, 61), "pbmte": _bit(menvcfg, 62),
            "sse": _bit(menvcfg, 3),
        }, None)  # fmt: skip
        _protected(regs, found, 1, kind, False, xlen)
        return found
    guest_status = regs.get("vsstatus", 0)
    vs_mxr = _bit(guest_status, 19) | hs_mxr
    both = menvcfg & henvcfg

    def guest(gpa: int, asked: str, mxr: int) -> int:
        return _stage(regs, load, gpa, asked, True, regs["hgatp"], xlen, True, {
            "sum": 0, "mxr": mxr, "adue": _bit(menvcfg, 61), "pbmte": _bit(menvcfg, 62), "sse": 0,
        }, None)  # fmt: skip

    va = _masked(va, regs, "senvcfg" if mode == "vu" else "henvcfg", kind, vs_mxr, "vsatp", xlen)
    gpa = _stage(regs, load, va, kind, mode == "vu", regs["vsatp"], xlen, False, {
        "sum": _bit(guest_status, 18), "mxr": vs_mxr, "adue": _bit(both, 61), "pbmte": _bit(both, 62),
        "sse": _bit(both, 3),
    }, guest)  # fmt: skip
    found = guest(gpa, kind, hs_mxr)
    _protected(regs, found, 1, kind, False, xlen)
    return found


def _masked(va: int, regs: Mapping[str, int], holder: str, kind: str, mxr: int, satp: str, xlen: int) -> int:
    pmlen = {2: 7, 3: 16}.get(regs.get(holder, 0) >> 32 & 3, 0)
    if xlen == 32 or kind in (FETCH, HLVX) or mxr or not pmlen:
        return va
    kept = va % (1 << 64 - pmlen)
    paged = regs[satp] >> 60
    return kept + (1 << 64) - (1 << 64 - pmlen) if paged and _bit(kept, 63 - pmlen) else kept


def _stage(
    regs: Mapping[str, int], load: Load, va: int, kind: str, user: bool, atp: int, xlen: int, is_guest: bool,
    how: Mapping[str, int], below: Callable[[int, str, int], int] | None,
) -> int:  # fmt: skip
    """One stage: `below` translates the addresses of its entries, as implicit accesses, where another follows."""
    refused = GUEST if is_guest else PAGE
    mode = atp >> 60 if xlen == 64 else atp >> 31
    if mode == 0:
        return va
    levels, ptesize, width = DEPTHS[xlen, mode], xlen // 8, 9 if xlen == 64 else 10
    bits = 12 + levels * width
    if is_guest and va >> bits + 2:
        raise Trap(refused)
    if not is_guest and xlen == 64 and va >> bits - 1 not in (0, (1 << 65 - bits) - 1):
        raise Trap(refused)
    ppn = atp & ((1 << 44) - 1 if xlen == 64 else (1 << 22) - 1)
    a = (ppn & ~3 if is_guest else ppn) << 12
    for i in range(levels - 1, -1, -1):
        extra = 2 if is_guest and i == levels - 1 else 0
        vpn = va >> 12 + i * width & (1 << width + extra) - 1
        where = at = a + vpn * ptesize
        if below is not None:
            try:
                where = below(at, READ, 0)
            except Trap as trap:
                raise Trap(str(trap)) from None
        _protected(regs, where, ptesize, READ, False, xlen)
        pte = load(where, ptesize)
        v, r, w, x, u = (_bit(pte, n) for n in range(5))
        accessed, dirty = _bit(pte, 6), _bit(pte, 7)
        pbmt, n = (pte >> 61 & 3, pte >> 63) if xlen == 64 else (0, 0)
        stack = w and not r and not x
        if not v or (w and not r and not (stack and how["sse"])) or (xlen == 64 and pte >> 54 & 0x7F):
            raise Trap(refused)
        page = pte >> 10 & ((1 << 44) - 1 if xlen == 64 else (1 << 22) - 1)
        if not (r or x or stack):
            if n or pbmt or accessed or dirty or u or i == 0:
                raise Trap(refused)
            a = page << 12
            continue
        if (n and (i or page & 15 != 8)) or (pbmt and not how["pbmte"]) or pbmt == 3:
            raise Trap(refused)
        if page & (1 << i * width) - 1:
            raise Trap(refused)
        if user and not u:
            raise Trap(refused)
        if u and not user and (kind == FETCH or not how["sum"]):
            raise Trap(refused)
        if stack and kind in (WRITE, FETCH):
            raise Trap(ACCESS)
        may = {READ: r or stack or (how["mxr"] and x), WRITE: w, FETCH: x, HLVX: x}
        if not may[kind]:
            raise Trap(refused)
        if not accessed or (kind == WRITE and not dirty):
            if not how["adue"]:
                raise Trap(refused)
            if below is not None:
                below(at, WRITE, 0)
            _protected(regs, where, ptesize, WRITE, False, xlen)
        if n:
            page = page & ~15 | va >> 12 & 15
        size = 1 << 12 + i * width
        return page << 12 | va & size - 1
    raise AssertionError("the last level raises, or returns")


def _protected(regs: Mapping[str, int], pa: int, size: int, kind: str, machine: bool, xlen: int) -> None:
    """Raise an access fault for no physical address, and where protection refuses one; no pmpcfg0 is none."""
    if pa >> 56:
        raise Trap(ACCESS)
    if "pmpcfg0" not in regs:
        return
    mml, mmwp = _bit(regs.get("mseccfg", 0), 0), _bit(regs.get("mseccfg", 0), 1)
    for i in range(16):
        name = f"pmpcfg{i // 8 * 2}" if xlen == 64 else f"pmpcfg{i // 4}"
        if name not in regs:
            break
        cfg = regs[name] >> 8 * (i % (xlen // 8)) & 0xFF
        top, mode = regs.get(f"pmpaddr{i}", 0), cfg >> 3 & 3
        if mode == 0:
            continue
        if mode == 1:
            low, high = regs.get(f"pmpaddr{i - 1}", 0) * 4 if i else 0, top * 4
        elif mode == 2:
            low, high = top * 4, top * 4 + 4
        else:
            ones = 0
            while _bit(top, ones):
                ones += 1
            low = top >> ones << ones << 2
            high = low + (8 << ones)
        inside = sum(low <= each < high for each in range(pa, pa + size))
        if not inside:
            continue
        if inside < size or not _granted(cfg, kind, machine, mml):
            raise Trap(ACCESS)
        return
    if not machine or mmwp or (mml and kind == FETCH):
        raise Trap(ACCESS)


def _granted(cfg: int, kind: str, machine: bool, mml: int) -> bool:
    r, w, x, lock = cfg & 1, cfg >> 1 & 1, cfg >> 2 & 1, cfg >> 7
    rights = {"r": r, "w": w, "x": x}
    if mml:
        shared = (w and not r) or (lock and r and w and x)
        if lock and r and w and x:
            rights = {"r": 1, "w": 0, "x": 0}
        elif shared and not lock:
            rights = {"r": 1, "w": 1 if machine or x else 0, "x": 0}
        elif shared:
            rights = {"r": 1 if machine and x else 0, "w": 0, "x": 1}
        elif bool(lock) != machine:
            return False
    elif machine and not lock:
        return True
    needs = {READ: "r", WRITE: "w", FETCH: "x", HLVX: "rx"}[kind]
    return all(rights[each] for each in needs)
