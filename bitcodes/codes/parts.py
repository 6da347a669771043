"""The two parts of a code: bits that tell classes apart, and bits that tell images apart."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, PositiveInt


class Parts(BaseModel):
    """The parts of a code of `class_bits` + `instance_bits` bits: the class bits come first.

    Class bits say which class an image belongs to. Instance bits say which of the images of one
    class it is like. `class_weight` is how many instance bits a class bit counts for where the
    distances of both parts are added up.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    class_bits: PositiveInt
    instance_bits: PositiveInt
    class_weight: Literal[1, 2, 4, 8, 16, 32, 64]

    @property
    def bits(self) -> int:
        """K, the bits of both parts."""
        return self.class_bits + self.instance_bits

    def __str__(self) -> str:
        weight = self.class_weight
        return f"{self.class_bits} class + {self.instance_bits} instance bits, weight {weight}"
