"""A structure in a kernel's memory, read by the names of its members."""

from __future__ import annotations

from dataclasses import dataclass

from gdbtools.addresses import VA
from gdbtools.errors import Unavailable
from gdbtools.systems.linux.kernel.btf import Types
from gdbtools.systems.tasks import ReadVirtual

_LONGEST_TEXT = 4096
_TEXT_CHUNK = 64


@dataclass(frozen=True, slots=True)
class Memory:
    """A kernel's memory, and the types of what is in it."""

    types: Types
    read: ReadVirtual

    def view(self, structure: str, at: int) -> View:
        """Return a structure of that name at an address."""
        return View(self, VA(at), self.types.structure(structure))

    def text(self, at: int) -> str:
        """Return the text at an address, to its end or the longest that a name may be."""
        found = b""
        while len(found) < _LONGEST_TEXT:
            # Not beyond a page that may be the last one.
            found += self.read(VA(at + len(found)), _TEXT_CHUNK - (at + len(found)) % _TEXT_CHUNK)
            if b"\0" in found:
                return found[: found.index(0)].decode(errors="replace")
        raise Unavailable(f"the text at {at:#x} does not end")


@dataclass(frozen=True, slots=True)
class View:
    """A structure at an address.  A member that this kernel does not have raises `Unavailable`."""

    memory: Memory
    at: VA
    type: int

    def has(self, path: str) -> bool:
        """Return whether this kernel's structure has such a member."""
        try:
            self.memory.types.member(self.type, path)
        except Unavailable:
            return False
        return True

    def place(self, path: str) -> VA:
        """Return where a member is."""
        return VA(self.at + self.memory.types.member(self.type, path).at)

    def number(self, path: str) -> int:
        """Return an integer, an enumeration or a pointer."""
        types = self.memory.types
        member = types.member(self.type, path)
        if member.bits:
            first = member.at_bit // 8
            size = (member.at_bit % 8 + member.bits + 7) // 8
            word = int.from_bytes(self.memory.read(VA(self.at + first), size), "little")
            return word >> member.at_bit % 8 & (1 << member.bits) - 1
        size = types.size_of(member.type)
        return int.from_bytes(
            self.memory.read(VA(self.at + member.at), size), "little", signed=types.is_signed(member.type)
        )

    def numbers(self, path: str) -> tuple[int, ...]:
        """Return an array's integers or pointers."""
        types = self.memory.types
        member = types.member(self.type, path)
        found = types.element(member.type)
        if found is None:
            raise Unavailable(f"{path} is no array")
        element, count = found
        size = types.size_of(element)
        data = self.memory.read(VA(self.at + member.at), size * count)
        return tuple(int.from_bytes(data[at : at + size], "little") for at in range(0, len(data), size))

    def characters(self, path: str) -> str:
        """Return the text in an array of characters."""
        return bytes(each & 0xFF for each in self.numbers(path)).split(b"\0")[0].decode(errors="replace")

    def inner(self, path: str) -> View:
        """Return a structure that is in this one."""
        member = self.memory.types.member(self.type, path)
        return View(self.memory, VA(self.at + member.at), member.type)

    def pointed(self, path: str) -> View | None:
        """Return the structure that a pointer leads to; None for a null pointer."""
        member = self.memory.types.member(self.type, path)
        target = self.memory.types.pointed(member.type)
        if not target:
            raise Unavailable(f"{path} does not point to a structure")
        address = self.number(path)
        return View(self.memory, VA(address), target) if address else None
