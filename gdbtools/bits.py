"""How bits are named: a `Word` is an immutable integer that knows its fields.

    class Leaf(Word):
        '''Page descriptor (VMSAv8-64 stage 1).'''
        AF = Field(10, doc="access flag")
        address = Field((49, 48), (47, 12), doc="output address")

    leaf = Leaf(0x40000403)
    leaf.AF                  1
    leaf.with_(AF=0)         Leaf(0x40000003)

A bit's position appears once, here, in a `Field`; overlapping fields are rejected when the class is made, and
what no field claims is reserved.  Decoding never refuses a value.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Final, overload

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["NOT_APPLICABLE", "NO_YES", "OFF_ON", "Field", "FieldValue", "NotApplicable", "Word"]


class NotApplicable(enum.Enum):
    """The type of `NOT_APPLICABLE`: a field that has no meaning in this context.  Not 0, and not None."""

    NOT_APPLICABLE = "not applicable"


NOT_APPLICABLE: Final = NotApplicable.NOT_APPLICABLE
OFF_ON: Final[Mapping[int, str]] = {0: "off", 1: "on"}
NO_YES: Final[Mapping[int, str]] = {0: "no", 1: "yes"}
"""What the values of a single bit are called that has no words of its own."""


class Field:
    """Some bits of a `Word`, read as an attribute.

    `segments` are bit positions, or (high, low) pairs, most significant first, so that a split output address is one
    declaration.  `values` names encodings; one without a name stays a number.  `scale` is the weight of the field's
    least significant bit, for addresses kept without their low zeros.  `name` is for a field that is no attribute.
    """

    def __init__(
        self,
        *segments: int | tuple[int, int],
        doc: str = "",
        values: Mapping[int, str] | None = None,
        scale: int = 1,
        name: str = "",
    ) -> None:
        spans = tuple((segment, segment) if isinstance(segment, int) else segment for segment in segments)
        if not spans or any(high < low or low < 0 for high, low in spans):
            raise ValueError(f"a field needs (high, low) segments, most significant first, not {segments}")
        self.spans = spans
        self.doc = doc
        self.values: Mapping[int, str] = values or {}
        self.scale = scale
        self.width = sum(high - low + 1 for high, low in spans)
        self.mask = sum(((1 << (high - low + 1)) - 1) << low for high, low in spans)
        if self.mask.bit_count() != self.width:
            raise ValueError(f"a field's segments overlap: {segments}")
        self.name = name

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, word: None, owner: type) -> Self: ...
    @overload
    def __get__(self, word: Word, owner: type) -> int: ...
    def __get__(self, word: Word | None, owner: type) -> Self | int:
        return self if word is None else self.of(word)

    def of(self, word: int) -> int:
        """Return the field's value in `word`, times `scale`."""
        high, low = self.spans[0]
        value = (word >> low) & ((1 << (high - low + 1)) - 1)
        for high, low in self.spans[1:]:
            width = high - low + 1
            value = value << width | (word >> low) & ((1 << width) - 1)
        return value * self.scale

    def into(self, word: int, value: int) -> int:
        """Return `word` with this field set to `value`; a value that does not fit raises ValueError."""
        remaining, odd = divmod(value, self.scale)
        if not 0 <= remaining < 1 << self.width:
            bits = "1 bit" if self.width == 1 else f"{self.width} bits"
            raise ValueError(f"{self.name} has {bits}: {value:#x} does not fit")
        if odd:
            raise ValueError(f"{self.name} is a multiple of {self.scale:#x}, and {value:#x} is none")
        word &= ~self.mask
        for high, low in reversed(self.spans):
            width = high - low + 1
            word |= (remaining & ((1 << width) - 1)) << low
            remaining >>= width
        return word

    def meaning(self, value: int) -> str:
        """Return the name of an encoding, or give an empty string where it has no name."""
        return self.values.get(value, "")

    @property
    def position(self) -> str:
        """The bits as the manual writes them: `[10]`, `[47:12]`, `[9:8,49:12]`."""
        return "[" + ",".join(str(high) if high == low else f"{high}:{low}" for high, low in self.spans) + "]"


@dataclass(frozen=True, slots=True)
class FieldValue:
    """One field of one word: what a view prints and JSON carries."""

    field: Field
    value: int
    applicable: bool = True

    @property
    def meaning(self) -> str:
        """The name of the encoding, or the word for its absence."""
        return self.field.meaning(self.value) if self.applicable else NOT_APPLICABLE.value


class Word(int):
    """An immutable unsigned integer of `width` bits whose named parts are `Field` attributes."""

    width: ClassVar[int] = 64
    RES1: ClassVar[int] = 0
    """Bits that the manual wants set and gives no name: nobody's, and no surprise."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        claimed = 0
        for field in cls.fields():
            if field.mask >> cls.width:
                raise TypeError(f"{cls.__name__}.{field.name} {field.position} is wider than {cls.width} bits")
            if claimed & field.mask:
                raise TypeError(f"{cls.__name__}.{field.name} {field.position} overlaps another field")
            claimed |= field.mask

    @classmethod
    @cache
    def fields(cls) -> tuple[Field, ...]:
        """Return every field, most significant first; one that a subclass declares again replaces its parent's."""
        named: dict[str, Any] = {}
        for base in reversed(cls.__mro__):
            named.update(vars(base))
        return tuple(sorted((each for each in named.values() if isinstance(each, Field)), key=lambda f: -f.mask))

    @classmethod
    @cache
    def reserved_mask(cls) -> int:
        """Return the bits that no field claims."""
        claimed = 0
        for field in cls.fields():
            claimed |= field.mask
        return ~claimed & ((1 << cls.width) - 1)

    @classmethod
    def field(cls, name: str) -> Field:
        """Return a field by its name, in any case; an unknown one raises KeyError."""
        named = cls._named()
        return named[name] if name in named else named[name.lower()]

    @classmethod
    @cache
    def _named(cls) -> Mapping[str, Field]:
        """Return the fields by their names as they are, and in small letters."""
        small = {field.name.lower(): field for field in reversed(cls.fields())}
        return small | {field.name: field for field in cls.fields()}

    @property
    def padded(self) -> str:
        """The value as hexadecimal digits, as many as it is wide: a column of them lines up."""
        return f"{int(self):#0{2 + -(-self.width // 4)}x}"

    @property
    def reserved(self) -> int:
        """The bits that are set although no field claims them, nor RES1: worth a note, never an error."""
        return self & self.reserved_mask() & ~self.RES1

    @property
    def otherwise(self) -> str:
        """What the reserved bits are where a control that is not known is otherwise; empty where none says."""
        return ""

    def with_(self, **values: int) -> Self:
        """Return the same word with some fields changed."""
        word = int(self)
        for name, value in values.items():
            word = getattr(type(self), name).into(word, value)
        return type(self)(word)

    def applies(self, field: Field) -> bool:
        """Return whether `field` has a meaning in this word; the manual's conditional layouts override it."""
        return True

    def decoded(self) -> Iterator[FieldValue]:
        """Yield every field with its value, most significant first."""
        for field in self.fields():
            yield FieldValue(field, field.of(self), self.applies(field))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({int(self):#x})"
