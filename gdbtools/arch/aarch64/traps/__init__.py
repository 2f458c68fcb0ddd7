"""Traps: which control makes which instruction trap, and which of them did.

`registers` and `fine_grained` are the controls, `groups` what they trap together; `rules` joins the two, in a file for
each of the manual's "EL1 configurable controls", "EL2 ..." and "EL3 ..."; `deciders` asks it about a syndrome.
"""
