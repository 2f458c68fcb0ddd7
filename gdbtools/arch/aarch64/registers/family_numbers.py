"""Where in an encoding the number of one register of a family stands."""

from __future__ import annotations

from gdbtools.bits import Field

# Parts of CRm:op2, each as the manual writes it: `CRm = 0b10:n[4:3], op2 = n[2:0]` is `IN_CRm1_op2`.
IN_CRm0_op2 = Field((3, 0))


IN_CRm1_op2 = Field((4, 0))


IN_CRm2 = Field((5, 3))


IN_op20_CRm = Field(0, (6, 3))


IN_op22_CRm = Field(2, (6, 3))


IN_CRm3_1 = Field((6, 4))


IN_op20_CRm3_1 = Field(0, (6, 4))


IN_op20_CRm3_2 = Field(0, (6, 5))


IN_CRm2_op22 = Field((5, 2))
