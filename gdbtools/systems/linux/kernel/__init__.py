"""What a Linux kernel's own memory says of it, without debug information: symbols, types, tasks and their areas.

VMCOREINFO names where kallsyms is; kallsyms and the form of its header lead to BTF, which has every structure.
"""
