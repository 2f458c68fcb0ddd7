# Bare metal: no dirty convention, every vector entry, the whole evidence at a stop.
set mmu-dirty none
set mmu-vectors all
set mmu-at-stop fault
