"""search with codes of two parts: both orders, with radius, index, features and hash outputs."""

from pathlib import Path

import numpy as np
import pytest
from commands import run as command

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_bits
from bitcodes.codes.parts import Parts
from bitcodes.codes.writer import save_code_set
from bitcodes.errors import CodeSetError
from bitcodes.hamming.stored import index_path, update_index
from bitcodes.tasks.searching.ordering import Ordering
from bitcodes.tasks.searching.results import SearchResults
from bitcodes.tasks.searching.search import search

PARTS = Parts(class_bits=6, instance_bits=14, class_weight=4)
RNG = np.random.default_rng(0)
BITS = (RNG.random((3, 20)) < 0.5)[RNG.integers(3, size=80)] ^ (RNG.random((80, 20)) < 0.1)
QUERIES = BITS[:4] ^ (RNG.random((4, 20)) < 0.1)
FEATURES = RNG.normal(size=(84, 5)).astype(np.float16)


def make(bits: np.ndarray, features: np.ndarray, parts: Parts | None = PARTS) -> CodeSet:
    names = [f"{row}.png" for row in range(len(bits))]
    return CodeSet.from_arrays(pack_bits(bits), 20, names, features=features, parts=parts)


@pytest.fixture
def database(tmp_path: Path) -> CodeSet:
    return save_code_set(make(BITS, FEATURES[4:]), tmp_path / "codes.npy")


@pytest.fixture
def queries() -> CodeSet:
    return make(QUERIES, FEATURES[:4])


def distances() -> tuple[np.ndarray, np.ndarray]:
    """Class distances and instance distances, both (4, 80)."""
    differ = QUERIES[:, None] != BITS
    return differ[..., :6].sum(axis=2), differ[..., 6:].sum(axis=2)


def rows(results: SearchResults) -> list[list[int]]:
    return [[hit.row for hit in query.hits] for query in results.queries]


@pytest.mark.parametrize("indexed", [False, True])
def test_class_distance_first(database: CodeSet, queries: CodeSet, indexed: bool) -> None:
    if indexed:
        update_index(database)
    class_distances, instance_distances = distances()
    results = search(queries, database, k=30, order="class")
    within = search(queries, database, radius=1, order="class")
    assert results.order == within.order == "class"
    for query in range(4):
        order = np.lexsort((np.arange(80), instance_distances[query], class_distances[query]))
        hits = results.queries[query].hits
        assert [hit.row for hit in hits] == order[:30].tolist()
        assert [hit.distance for hit in hits] == class_distances[query][order[:30]].tolist()
        assert [hit.instance_distance for hit in hits] == instance_distances[query][
            order[:30]
        ].tolist()
        assert hits[0].similarity == 1 - hits[0].distance / 6
        near = order[class_distances[query][order] <= 1]
        assert rows(within)[query] == near.tolist()


@pytest.mark.parametrize("order", [None, "sum"])
@pytest.mark.parametrize("indexed", [False, True])
def test_the_sum_is_the_default(
    database: CodeSet, queries: CodeSet, order: None, indexed: bool
) -> None:
    if indexed:
        update_index(database)
    class_distances, instance_distances = distances()
    total = 4 * class_distances + instance_distances
    results = search(queries, database, k=30, order=order)
    within = search(queries, database, radius=9, order=order)
    assert results.order == "sum"
    for query in range(4):
        right = np.argsort(total[query], kind="stable")
        hits = results.queries[query].hits
        assert [hit.row for hit in hits] == right[:30].tolist()
        assert [hit.distance for hit in hits] == total[query][right[:30]].tolist()
        assert hits[0].instance_distance is None
        assert hits[0].similarity == 1 - hits[0].distance / 38
        assert rows(within)[query] == right[total[query][right] <= 9].tolist()


@pytest.mark.parametrize("order", ["sum", "class"])
def test_features_order_the_shortlist_of_the_order(
    database: CodeSet, queries: CodeSet, order: str
) -> None:
    class_distances, instance_distances = distances()
    weight = 4 if order == "sum" else 100
    total = weight * class_distances + instance_distances
    results = search(queries, database, k=12, shortlist=12, rerank=True, order=order)  # type: ignore
    ours, theirs = FEATURES[:4].astype(float), FEATURES[4:].astype(float)
    for query in range(4):
        shortlist = np.argsort(total[query], kind="stable")[:12]
        apart = np.linalg.norm(theirs[shortlist] - ours[query], axis=1)
        assert rows(results)[query] == shortlist[np.argsort(apart)].tolist()
        shown = total if order == "sum" else class_distances
        for hit in results.queries[query].hits:
            assert hit.distance == shown[query, hit.row]


def test_ties_are_those_of_both_parts(tmp_path: Path) -> None:
    bits = np.zeros((3, 20), bool)
    bits[1, 19] = bits[2, 18] = True
    code_set = make(bits, FEATURES[:3])
    for k, tied in ((1, False), (2, True)):
        for order in ("sum", "class"):
            query = search(code_set, code_set, k=k, order=order).queries[0]  # type: ignore[arg-type]
            assert query.tied == tied
            assert query.hits[0].row == 0


def test_an_index_of_other_codes_is_found_out(database: CodeSet, queries: CodeSet) -> None:
    update_index(database)
    file = index_path(Path(str(database.path))) / "codes.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 0x10
    file.write_bytes(content)
    notes: list[str] = []
    for order in ("sum", "class"):
        found = search(queries, database, order=order, note=notes.append)  # type: ignore[arg-type]
        right = search(queries, make(BITS, FEATURES[4:]), order=order)  # type: ignore[arg-type]
        assert rows(found) == rows(right)
    assert len(notes) == 2


def test_codes_of_one_part_have_one_order(queries: CodeSet) -> None:
    plain = make(BITS, FEATURES[4:], parts=None)
    with pytest.raises(CodeSetError, match=r"has codes of one part.*--order class"):
        search(queries, plain, order="class")
    ordering = Ordering.of(plain)
    assert (ordering.name, ordering.within(3), ordering.shown(3)) == (None, 3, 3)


def test_the_command(
    database: CodeSet,
    queries: CodeSet,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    save_code_set(queries, "queries.npy")
    assert command("search", "queries.npy", "--order", "class", "-k", 2, "--json") == 0
    document = capsys.readouterr().out
    assert '"order": "class"' in document and '"instance_distance"' in document
    assert command("search", "queries.npy", "-k", 2, "--json") == 0
    document = capsys.readouterr().out
    assert '"order": "sum"' in document and '"instance_distance"' not in document
    assert command("info") == 0
    assert "class_bits 6, instance_bits 14, class_weight 4" in capsys.readouterr().out
    assert command("search", "queries.npy", "--order", "other") == 2
    assert command("search", "queries.npy", "--order", "class", "--html", "page.html") == 0
    hit = search(queries, database, order="class").queries[0].hits[0]
    page = Path("page.html").read_text()
    assert f"distance <b>{hit.distance}</b>, instance {hit.instance_distance}" in page
    assert "bits apart" not in page
