"""The hypervisors on AArch64 whose own structures tell of their guests, in the order in which they are asked."""

from __future__ import annotations

from gdbtools.systems.linux.kvm.aarch64 import machines
from gdbtools.systems.xen.aarch64 import domains

KEEPING = (domains, machines)
