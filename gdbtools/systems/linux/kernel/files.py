"""The path of a file that a kernel has open: the names from it to the root of its mount, and of that one's.

Source: Linux, `fs/d_path.c`, `include/linux/dcache.h` (struct dentry), `fs/mount.h` (struct mount).
"""

from __future__ import annotations

from typing import Final

from gdbtools.errors import Unavailable
from gdbtools.systems.linux.kernel.view import View

_DEEPEST: Final = 256


def path_of(file: View) -> str:
    """Return the path of a `struct file`, ` (deleted)` behind one that has no name any more."""
    entry, mounted = file.pointed("f_path.dentry"), file.pointed("f_path.mnt")
    if entry is None or mounted is None:
        return ""
    deleted = _is_unhashed(entry)
    memory = file.memory
    mount = memory.view("mount", mounted.at - memory.types.member(memory.types.structure("mount"), "mnt").at)
    names: list[str] = []
    for _ in range(_DEEPEST):
        if entry is None:
            break
        if entry.at == mount.number("mnt.mnt_root"):
            parent = mount.pointed("mnt_parent")
            if parent is None or parent.at == mount.at:
                return "/" + "/".join(reversed(names)) + (" (deleted)" if deleted else "")
            entry, mount = mount.pointed("mnt_mountpoint"), parent
            continue
        parent_entry = entry.pointed("d_parent")
        if parent_entry is None or parent_entry.at == entry.at:
            # Of no mount: a pipe, shared memory or the like.
            return "/" + "/".join(reversed([*names, *_own_name(entry)])) + (" (deleted)" if deleted else "")
        names.append(memory.text(entry.number("d_name.name")))
        entry = parent_entry
    raise Unavailable(f"the path of the file at {file.at:#x} does not end")


def _own_name(entry: View) -> list[str]:
    name = entry.memory.text(entry.number("d_name.name"))
    return [] if name == "/" else [name]


def _is_unhashed(entry: View) -> bool:
    parent = entry.number("d_parent")
    return parent != entry.at and entry.number("d_hash.pprev") == 0
