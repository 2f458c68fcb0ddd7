"""What Xen writes into the device trees of its guests, and what it is told in its own.

Source: Linux, Documentation/devicetree/bindings/arm/xen.txt; Xen, docs/misc/arm/device-tree/booting.txt and
xen/arch/arm/domain_build.c, `make_hypervisor_node` and `handle_node`.
"""

from __future__ import annotations

from typing import Final

from gdbtools.systems.device_trees import TreeMarks

MARKS: Final = TreeMarks(
    "Xen",
    given=frozenset(("xen,xen",)),
    own=frozenset(("multiboot,module", "xen,multiboot-module")),
)
"""A node of a domain (`xen,domain`) is no mark: 4.17 leaves those in the tree that it makes for domain 0."""
