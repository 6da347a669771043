"""The results of encoding and of searching."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bitcodes.choices import SearchOrder
from bitcodes.codes.paths import escape
from bitcodes.notebook import ShownAsHtml
from bitcodes.wording import counted

Fine = Literal["features", "outputs"]
_FINE_WORDS: dict[Fine, str] = {"features": "features", "outputs": "hash outputs"}


@dataclass(frozen=True)
class Hit:
    """One image of the code set, as an answer to a query."""

    rank: int
    """From 1."""
    row: int
    """In the code set."""
    path: str
    """As the code set has it."""
    file: Path | None
    """Where the image is, if that is known."""
    distance: int
    """Hamming distance to the query; for codes of two parts, the distance of the order."""
    similarity: float
    """Share of the bits that agree, 0 to 1; for codes of two parts, of their weights."""
    fine_distance: float | None
    """The distance of features or of hash outputs, if these order the hits."""
    labels: tuple[str, ...]
    """Class names, or numbers where there are no names; empty where unknown."""
    relevant: bool | None
    """Whether it shares a label with the query; None if either has none."""
    instance_distance: int | None = None
    """How many instance bits differ, in the order "class"."""


@dataclass(frozen=True)
class QueryResult:
    """One query and its hits, nearest first."""

    path: str
    file: Path | None
    labels: tuple[str, ...]
    hits: tuple[Hit, ...]
    more: bool
    """Whether more than k images are within the radius."""
    tied: bool = False
    """Whether further codes are as near as the last hit: which of them are hits depends on rows."""
    ties: int | None = None
    """How many further images are as near as the last hit; None if they were not counted."""

    def __repr__(self) -> str:
        return f"<QueryResult: {counted(len(self.hits), 'hit')} for {self.path!r}>"

    @property
    def correct(self) -> int | None:
        """How many of the hits are relevant; None if that is known of none."""
        known = [hit.relevant for hit in self.hits if hit.relevant is not None]
        return sum(known) if known else None


@dataclass(frozen=True)
class SearchResults(ShownAsHtml):
    """What one call of search returns."""

    codes: str
    """Name of the code set searched."""
    bits: int
    count: int
    """Images in the code set."""
    k: int | None
    """The most hits per query; None for all within the radius."""
    radius: int | None
    shortlist: int | None
    """How many nearest codes were re-ranked; None if a radius decides."""
    reranked: Fine | None
    """What a shortlist was ordered by; None for results ordered by codes alone."""
    queries: tuple[QueryResult, ...]
    skipped: tuple[tuple[str, str], ...]
    """Path and reason of each query that could not be read."""
    has_features: bool = False
    """Whether the code set has features, which can order the hits."""
    order: SearchOrder | None = None
    """How the two parts of the codes were compared; None for codes of one part."""

    def __repr__(self) -> str:
        queries = counted(len(self.queries), "query", "queries")
        return f"<SearchResults: {queries}, {self.describe()}>"

    def describe(self) -> str:
        """What was searched, and how, in one line."""
        nearest = "all" if self.k is None else f"the {self.k:,} nearest"
        by_codes = "" if self.radius is None else f" within distance {self.radius}"
        if self.reranked is not None:
            fine = _FINE_WORDS[self.reranked]
            order = f"all by {fine}" if self.k is None else f"{nearest} in {fine}"
            pool = None if self.shortlist is None else min(self.shortlist, self.count)
            nearest = f"{order}, of {'all' if pool is None else f'the {pool:,} nearest'}"
        first = ", class bits first" if self.order == "class" else ""
        codes = f"{self.bits}-bit codes{first}"
        return f"{nearest}{by_codes} by {codes}, among {counted(self.count, 'image')}"

    @property
    def tie_note(self) -> str | None:
        """What to know, and to do, if codes tie at the end of a list; None if none do."""
        tied = [query for query in self.queries if query.tied]
        if not tied:
            return None
        if self.reranked is not None:
            return (
                f"the shortlist of {self.shortlist:,} left out images at the same distance as its "
                "last one; a larger --shortlist includes them"
            )
        rerank = "; --rerank orders them by their features" if self.has_features else ""
        if len(self.queries) == 1 and (more := tied[0].ties) is not None:
            they, k = "it" if more == 1 else "them", len(tied[0].hits) + more
            verb = "is" if more == 1 else "are"
            return (
                f"{counted(more, 'more image')} {verb} at the same distance as the last one: "
                f"add -k {k} to see {they}{rerank}"
            )
        return (
            "some lists end among images at the same distance, and more of these follow: "
            f"a larger -k shows them{rerank}"
        )

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form. Paths are escaped as in codes.paths.txt."""
        return {
            "codes": escape(self.codes),
            "bits": self.bits,
            **({} if self.order is None else {"order": self.order}),
            "count": self.count,
            "k": self.k,
            "radius": self.radius,
            "rerank": self.reranked == "features",
            "asymmetric": self.reranked == "outputs",
            "shortlist": self.shortlist,
            "queries": [_query_dict(query, self.reranked) for query in self.queries],
            "skipped": [{"path": escape(path), "reason": reason} for path, reason in self.skipped],
        }


def _query_dict(query: QueryResult, reranked: Fine | None) -> dict[str, Any]:
    return {
        "path": escape(query.path),
        "labels": [escape(label) for label in query.labels],
        "more": query.more,
        "tied": query.tied,
        "results": [
            {
                "rank": hit.rank,
                "row": hit.row,
                "path": escape(hit.path),
                "file": None if hit.file is None else escape(str(hit.file)),
                "distance": hit.distance,
                **_instance_distance(hit),
                "similarity": round(hit.similarity, 6),
                "feature_distance": hit.fine_distance if reranked == "features" else None,
                "output_distance": hit.fine_distance if reranked == "outputs" else None,
                "labels": [escape(label) for label in hit.labels],
                "relevant": hit.relevant,
            }
            for hit in query.hits
        ],
    }


def _instance_distance(hit: Hit) -> dict[str, int]:
    distance = hit.instance_distance
    return {} if distance is None else {"instance_distance": distance}
