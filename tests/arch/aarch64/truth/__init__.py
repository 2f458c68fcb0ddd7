"""What the manual says, row by row: written from DDI 0487 and its pseudocode, never from our own declarations."""
