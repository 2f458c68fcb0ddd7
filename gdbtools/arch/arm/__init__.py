"""What the Arm architecture says of both of its execution states: memory attributes and fault status codes.

AArch32 with long descriptors has these numbers from the same tables of the manual as AArch64 has.  Neither state's own
rooms import the other's.
"""
