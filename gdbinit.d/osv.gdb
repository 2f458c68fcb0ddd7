# OSv: one address space, EL1 only (also the application); the dirty state is software bit 55.
set mmu-dirty bit55
set mmu-vectors current
set mmu-at-stop fault
