"""A guest that runs on this host: QEMU's gdbstub, its QMP monitor, and its RAM."""
