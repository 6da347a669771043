"""The order of results by code: for codes of two parts, there are two."""

from dataclasses import dataclass

from bitcodes.choices import SearchOrder
from bitcodes.codes.codeset import CodeSet
from bitcodes.errors import CodeSetError
from bitcodes.hamming.measure import Measure, measure_of


@dataclass(frozen=True)
class Ordering:
    """By what distances results are ordered, and what is shown of these.

    Distances shown are those of `measure`, divided by `step` and rounded down: for the order
    "class" these are the class distances, and the remainders are the instance distances.
    """

    name: SearchOrder | None
    """None for codes of one part, which have one order."""
    measure: Measure
    step: int = 1

    @classmethod
    def of(cls, database: CodeSet, name: SearchOrder | None = None) -> "Ordering":
        """The order of this name, by default "sum" for codes of two parts.

        CodeSetError if one is named for codes of one part.
        """
        parts = database.parts
        if parts is None and name is not None:
            raise CodeSetError(
                f"{database.name} has codes of one part, which have one order: leave out --order "
                f"{name}. Codes of two parts come from finetune --instance-bits"
            )
        if parts is None or name != "class":
            return cls(None if parts is None else "sum", measure_of(database))
        measure = Measure.class_first(parts)
        return cls("class", measure, measure.weight)

    def within(self, radius: int) -> int:
        """The largest distance by the measure that shows as `radius` or less."""
        return min((radius + 1) * self.step - 1, self.measure.largest)

    def shown(self, distance: int) -> int:
        """What is shown of a distance."""
        return distance // self.step

    def instance_distance(self, distance: int) -> int | None:
        """How many instance bits differ, if a distance tells that."""
        return distance % self.step if self.name == "class" else None

    def similarity(self, distance: int) -> float:
        """The distance shown as a share of the largest, turned round: 1 for equal codes."""
        return 1 - self.shown(distance) / self.shown(self.measure.largest)
