"""What all syndromes have in common, whatever their class: EC and IL, and the questions that can be asked of any."""

from __future__ import annotations

from gdbtools.arch.aarch64.syndrome.exception_class import NAMES
from gdbtools.arch.model import AccessKind, AddressMeaning, Fault, Transfer
from gdbtools.bits import Field, FieldValue, Word

NO_YES = {0: "no", 1: "yes"}
_CONDITIONS = ("EQ", "NE", "CS", "CC", "MI", "PL", "VS", "VC", "HI", "LS", "GE", "LT", "GT", "LE", "AL")
DIRECTION = {0: "write", 1: "read"}


class ESR_ELx(Word):
    """Exception Syndrome Register, of a class whose ISS is not taken apart."""

    ISS2 = Field((55, 32), doc="instruction specific syndrome, second part")
    EC = Field((31, 26), doc="exception class", values=NAMES)
    IL = Field(
        25, doc="instruction length", values={0: "16-bit instruction", 1: "32-bit instruction, or not about one"}
    )
    ISS = Field((24, 0), doc="instruction specific syndrome")


class Encoding(Word):
    """ESR_ELx of one kind of exception; one without an ISS of its own has reserved bits there."""

    EC = ESR_ELx.EC
    IL = ESR_ELx.IL

    @property
    def instruction(self) -> str:
        """The instruction as far as the syndrome tells it, in the assembler's words; empty where it tells none."""
        return ""

    @property
    def target(self) -> str:
        """The system register, or the System instruction, that was asked for; empty where there is none or no name."""
        return ""

    @property
    def immediate(self) -> int | None:
        return None

    @property
    def fault(self) -> Fault | None:
        return None

    @property
    def status(self) -> int | None:
        """The fault status code."""
        return None

    @property
    def access_kind(self) -> AccessKind | None:
        return None

    @property
    def on_stage1_walk(self) -> bool:
        """S1PTW, where the class has it."""
        return False

    @property
    def through_vncr(self) -> bool:
        """Whether EL1 made the access in place of a register, and EL2's tables translated it (VNCR_EL2)."""
        return False

    @property
    def transfer(self) -> Transfer | None:
        return None

    @property
    def address(self) -> AddressMeaning | None:
        """What FAR_ELx holds, where the fields decide it: None where the class alone does."""
        return None

    @property
    def other_rules(self) -> tuple[FieldValue, ...]:
        """The set bits that say that the access was refused by a rule which a replay of it does not know."""
        return ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the bits alone would get wrong."""
        return ()


class Conditional(Encoding):
    """What AArch32 instructions add: the condition they were executed under."""

    CV = Field(24, doc="COND is valid", values=NO_YES)
    COND = Field((23, 20), doc="condition code", values=dict(enumerate(_CONDITIONS)))

    def applies(self, field: Field) -> bool:
        return bool(self.CV) if field is type(self).COND else super().applies(field)


def general(number: int, width: str = "X") -> str:
    """Return the name of a general-purpose register; 31 is the zero register."""
    return f"{width}ZR" if number == 31 else f"{width}{number}"
