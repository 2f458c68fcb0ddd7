"""RISC-V against the manual: a reference of its own, truth tables, and every rule that refuses."""
