# Linux on AArch64: the dirty state is software bit 55, faults come from EL0 and EL1.
set mmu-dirty bit55
set mmu-vectors all
set mmu-at-stop verdict
