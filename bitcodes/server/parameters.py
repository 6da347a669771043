"""What requests may say, with the words and bounds of the command line."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from bitcodes.choices import SearchOrder
from bitcodes.server.limits import (
    MAX_GROUPS,
    MAX_K,
    MAX_QUERIES,
    MAX_RADIUS,
    MAX_SHORTLIST,
    MAX_TEXT,
)
from bitcodes.tasks.duplicates.decisions import Word
from bitcodes.tasks.searching.results import Fine
from bitcodes.tasks.searching.rows import Filter
from bitcodes.tasks.searching.searcher import K, Terms

Text = Annotated[str, StringConstraints(max_length=MAX_TEXT)]
Several = Annotated[list[Text], Field(max_length=MAX_QUERIES)]
Row = Annotated[int, Field(ge=0, le=2**53)]
Radius = Annotated[int, Field(ge=0, le=MAX_RADIUS)]


class Among(BaseModel):
    """Which images are meant: of which set, with which labels and paths."""

    model_config = ConfigDict(extra="forbid")

    set: Text | None = Field(default=None, description="Name of the code set. Default: the first.")
    label: Several = Field(
        default_factory=list,
        description="Only images with one of these labels.",
    )
    under: Text | None = Field(
        default=None,
        description="Only images whose path begins so, such as a folder.",
        examples=["holidays/"],
    )
    glob: Text | None = Field(
        default=None,
        description="Only images whose whole path matches: * stands for any characters, ? for one.",
        examples=["*.jpg"],
    )

    def filter(self) -> Filter:
        """Which images are meant."""
        return Filter(tuple(sorted(set(self.label))), self.under, self.glob)


class Part(Among):
    """A part of the images, in their order."""

    offset: Annotated[int, Field(ge=0, le=2**53)] = Field(
        default=0, description="How many images come before."
    )
    limit: Annotated[int, Field(ge=1, le=MAX_GROUPS)] = Field(
        default=50, description="Largest number of images."
    )


class WhichGroups(Among):
    """Which groups of near-duplicates are meant."""

    radius: Radius | None = Field(
        default=None, description="Largest distance in a group. Default: an eighth of the bits."
    )
    offset: Annotated[int, Field(ge=0, le=2**53)] = Field(
        default=0, description="How many groups come before."
    )
    limit: Annotated[int, Field(ge=1, le=MAX_GROUPS)] = Field(
        default=50, description="Largest number of groups."
    )


class Decision(BaseModel):
    """What a person says of some images: the word of a line of `codes.decisions.tsv`."""

    model_config = ConfigDict(extra="forbid")

    word: Word = Field(
        description="`duplicate`: keep the first image, the others are duplicates of it; "
        "`different`: none is a duplicate of another; `undecided`: take back what was said."
    )
    paths: Annotated[list[Text], Field(min_length=2, max_length=MAX_K)] = Field(
        description="Paths of images of the set, as answers have them."
    )


class DecisionBatch(BaseModel):
    """Decisions on near-duplicates of a set, saved all or none."""

    model_config = ConfigDict(extra="forbid")

    set: Text | None = Field(default=None, description="Name of the code set. Default: the first.")
    decisions: Annotated[list[Decision], Field(min_length=1, max_length=MAX_K)]


class HowToSearch(Among):
    """Where and how to search, whatever the query is."""

    k: Annotated[int, Field(ge=1, le=MAX_K)] | None = Field(
        default=None,
        description="Largest number of results per query. Default: 10; with radius, "
        f"{MAX_K:,}, and `more` says whether there are more.",
        examples=[10],
    )
    radius: Radius | None = Field(
        default=None, description="Largest Hamming distance of a result.", examples=[12]
    )
    order: SearchOrder | None = Field(
        default=None,
        description="For codes of two parts: `sum` orders by the weighted sum of class distance "
        "and instance distance; `class` by class distance, and by instance distance where that is "
        "equal. Default: sum.",
    )
    rerank: bool = Field(
        default=False, description="Order the nearest images by the distance between features."
    )
    asymmetric: bool = Field(
        default=False,
        description="Order the nearest images by the real-valued hash outputs of the query.",
    )
    shortlist: Annotated[int, Field(ge=1, le=MAX_SHORTLIST)] | None = Field(
        default=None,
        description="Length of the shortlist: how many of the nearest images are re-ranked. "
        "Default: 1,000.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.rerank and self.asymmetric:
            raise ValueError("asymmetric: use it or rerank, not both")
        if self.shortlist is not None and not (self.rerank or self.asymmetric):
            raise ValueError("shortlist: it needs rerank or asymmetric")
        if self.shortlist is not None and self.radius is not None:
            raise ValueError("shortlist: use it or radius, not both")
        return self

    def terms(self) -> Terms:
        """How the search is done."""
        reranked: Fine | None = (
            "features" if self.rerank else "outputs" if self.asymmetric else None
        )
        k = self.k or (K if self.radius is None else MAX_K)
        shortlist = MAX_SHORTLIST if self.radius is not None and reranked else self.shortlist
        return Terms(k, self.radius, self.order, reranked, shortlist, counts_ties=False)


class Search(HowToSearch):
    """A search by images of the set or by codes: all queries that are given, in this order."""

    row: Annotated[list[Row], Field(max_length=MAX_QUERIES)] = Field(
        default_factory=list,
        description="Images of the set to search for, by row.",
        examples=[[0]],
    )
    path: Several = Field(
        default_factory=list,
        description="Images of the set to search for, by path. Backslash and line ends in it are "
        "escaped as in the results.",
    )
    hex: Several = Field(
        default_factory=list, description="Packed codes to search for, MSB-first, in hex."
    )
    base64: Several = Field(
        default_factory=list, description="Packed codes to search for, MSB-first, in base64."
    )

    @property
    def count(self) -> int:
        """The number of queries."""
        return len(self.row) + len(self.path) + len(self.hex) + len(self.base64)
