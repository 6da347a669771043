"""search: exact answers, from the right model, with what is known of labels."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny import make_model, make_pictures, make_run

from bitcodes.codes.codeset import CodeSet
from bitcodes.errors import CodeSetError, ConfigError, DataError
from bitcodes.hamming.index import group
from bitcodes.hamming.stored import save_index
from bitcodes.models.checkpoint import load_model, save_model
from bitcodes.models.encoding import encode_images
from bitcodes.runs import MODEL_FILE, set_latest
from bitcodes.sources.lists import ImageList, write_list
from bitcodes.sources.source import open_images
from bitcodes.tasks.encoding.encode import encode
from bitcodes.tasks.searching.results import SearchResults
from bitcodes.tasks.searching.search import search

BITS = 24


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with 40 photos, a run and codes.npy with features; 6 other pictures."""
    folder = tmp_path / "place"
    make_pictures(folder / "photos", 40)
    make_pictures(folder / "asked", 6, seed=1)
    monkeypatch.chdir(folder)
    run = make_run(folder / "runs" / "one", BITS)
    set_latest(run)
    encode(load_model(run), folder / "photos", folder / "codes.npy", features=True)
    return folder


def found(results: SearchResults) -> list[list[tuple[int, int]]]:
    return [[(hit.distance, hit.row) for hit in query.hits] for query in results.queries]


def bits_of(codes: np.ndarray) -> np.ndarray:
    return np.unpackbits(codes, axis=1)[:, :BITS].astype(int)


def all_pairs(place: Path) -> tuple[np.ndarray, np.ndarray]:
    """Hamming and feature distances of all asked pictures to all photos, both (6, 40)."""
    model = load_model(place / "runs" / "one")
    asked = encode_images(model, sorted((place / "asked").iterdir()))
    database = CodeSet.open(place / "codes.npy")
    hamming = ((asked.outputs > 0)[:, None] != bits_of(database.codes).astype(bool)[None]).sum(
        axis=2
    )
    assert database.features is not None
    rounded = asked.features.astype(np.float16).astype(float)
    return hamming, np.linalg.norm(rounded[:, None] - database.features.astype(float)[None], axis=2)


def test_the_nearest_in_order_of_distance_and_row(place: Path) -> None:
    hamming, _ = all_pairs(place)
    everything = [sorted((int(d), row) for row, d in enumerate(line)) for line in hamming]
    database = CodeSet.open("codes.npy")
    asked = open_images(["asked"])
    assert found(search(asked, database)) == [line[:10] for line in everything]
    assert found(search(asked, database, k=100)) == everything

    ball = [[hit for hit in line if hit[0] <= 9] for line in everything]
    results = search(asked, database, radius=9)
    assert found(results) == ball
    assert results.k is None and not any(query.more for query in results.queries)
    results = search(asked, database, radius=9, k=3)
    assert found(results) == [line[:3] for line in ball]
    assert [query.more for query in results.queries] == [len(line) > 3 for line in ball]


def test_a_shortlist_is_ordered_by_features(place: Path) -> None:
    hamming, euclidean = all_pairs(place)
    database = CodeSet.open("codes.npy")
    asked = open_images(["asked"])

    def expected(query: int, rows: list[int], k: int | None) -> list[tuple[int, int]]:
        ordered = sorted(rows, key=lambda row: (euclidean[query, row], hamming[query, row], row))
        return [(int(hamming[query, row]), row) for row in ordered[:k]]

    nearest = [sorted(range(40), key=lambda row: (line[row], row)) for line in hamming]
    results = search(asked, database, rerank=True, shortlist=12, k=5)
    assert found(results) == [expected(query, nearest[query][:12], 5) for query in range(6)]
    for query, line in enumerate(results.queries):
        for hit in line.hits:
            assert hit.fine_distance == pytest.approx(euclidean[query, hit.row], rel=1e-3)
    assert found(search(asked, database, rerank=True)) == [
        expected(query, nearest[query], 10) for query in range(6)
    ]
    two_stage = search(asked, database, rerank=True, radius=9, k=4)
    balls = [[row for row in range(40) if line[row] <= 9] for line in hamming]
    assert found(two_stage) == [expected(query, balls[query], 4) for query in range(6)]
    assert [query.more for query in two_stage.queries] == [len(ball) > 4 for ball in balls]


def test_a_shortlist_is_ordered_by_hash_outputs(place: Path) -> None:
    hamming, _ = all_pairs(place)
    database = CodeSet.open("codes.npy")
    outputs = encode_images(load_model(), sorted((place / "asked").iterdir())).outputs
    differs = (outputs > 0)[:, None] != bits_of(database.codes).astype(bool)
    scores = np.sqrt((outputs.astype(float)[:, None] ** 2 * differs).sum(axis=2))  # (6, 40)
    asked = open_images(["asked"])
    results = search(asked, database, asymmetric=True, radius=9, k=4)
    assert results.reranked == "outputs"
    for query, line in enumerate(results.queries):
        ball = [row for row in range(40) if hamming[query, row] <= 9]
        ordered = sorted(ball, key=lambda row: (np.float32(scores[query, row]), row))
        assert [hit.row for hit in line.hits] == ordered[:4]
        for hit in line.hits:
            assert hit.fine_distance == pytest.approx(scores[query, hit.row])
    everything = search(asked, database, asymmetric=True, k=40)
    assert [sorted(hit.row for hit in query.hits) for query in everything.queries] == [
        list(range(40))
    ] * 6
    with pytest.raises(CodeSetError, match="hash outputs"):
        search(database, database, asymmetric=True)


def test_a_saved_index_gives_the_same_answers(place: Path) -> None:
    database = CodeSet.open("codes.npy")
    asked = open_images(["asked"])
    expected = found(search(asked, database, k=25))
    save_index(group(database.codes, BITS), database)
    notes: list[str] = []
    assert found(search(asked, database, k=25, note=notes.append)) == expected
    assert notes == []
    (place / "codes.index" / "rows.npy").write_bytes(b"")
    assert found(search(asked, database, k=25, note=notes.append)) == expected
    assert "bitcodes index" in notes[0]


def test_every_image_finds_itself(place: Path) -> None:
    database = CodeSet.open("codes.npy")
    results = search(open_images(["photos"]), database, radius=0)
    for row, query in enumerate(results.queries):
        assert (0, row) in [(hit.distance, hit.row) for hit in query.hits]
        assert all(hit.similarity == 1 for hit in query.hits)


def test_a_code_set_asks_like_its_images(place: Path) -> None:
    database = CodeSet.open("codes.npy")
    queries = encode(load_model(), "asked", "queries.npy", features=True)
    for options in ({}, {"radius": 8}, {"rerank": True, "k": 7}):
        from_codes = search(queries, database, **options)  # type: ignore[arg-type]
        from_images = search(open_images(["asked"]), database, **options)  # type: ignore[arg-type]
        assert found(from_codes) == found(from_images)
        assert [query.file for query in from_codes.queries] == [
            query.file for query in from_images.queries
        ]


def test_hits_say_where_their_images_lie(place: Path) -> None:
    hit = search(open_images(["photos/07.png"]), CodeSet.open("codes.npy"), k=1).queries[0].hits[0]
    assert (hit.rank, hit.row, hit.path) == (1, 7, "07.png")
    assert hit.file == place / "photos" / "07.png"
    bare = CodeSet.from_arrays(np.zeros((1, 3), np.uint8), BITS)
    hit = search(bare, bare).queries[0].hits[0]
    assert (hit.path, hit.file) == ("0", None)


def test_queries_that_cannot_be_read_are_told(place: Path) -> None:
    Path("asked/broken.jpg").write_bytes(b"no")
    results = search(open_images(["asked"]), CodeSet.open("codes.npy"))
    assert len(results.queries) == 6
    assert results.skipped[0][0] == "broken.jpg"
    with pytest.raises(DataError, match=r"the query 'asked/broken\.jpg' cannot be read: not an"):
        search(open_images(["asked/broken.jpg"]), CodeSet.open("codes.npy"))


# -- the right model -------------------------------------------------------------------------------


def test_the_model_is_the_one_in_the_header(place: Path) -> None:
    set_latest(make_run(place / "runs" / "two", BITS, seed=1))  # the newest is another
    assert found(search(open_images(["photos/03.png"]), CodeSet.open("codes.npy"), k=1)) == [
        [(0, 3)]
    ]


def test_codes_of_another_model_are_refused(place: Path) -> None:
    database = CodeSet.open("codes.npy")
    other = make_run(place / "runs" / "two", BITS, seed=1)
    asked = open_images(["asked"])
    both = "codes.npy was made with runs/one, and .* is another model"
    with pytest.raises(CodeSetError, match=both):
        search(asked, database, run=other)
    assert len(search(asked, database, run=other, force=True).queries) == 6
    queries = encode(load_model(other), "asked", "queries.npy", features=True)
    with pytest.raises(CodeSetError, match=both):
        search(queries, database)
    assert len(search(queries, database, force=True).queries) == 6

    longer = make_run(place / "runs" / "three", 32)
    with pytest.raises(CodeSetError, match="32 bits"):
        search(asked, database, run=longer, force=True)
    with pytest.raises(CodeSetError, match="32 bits"):
        search(encode(load_model(longer), "asked", "longer.npy"), database, force=True)

    save_model(make_model(BITS, seed=2), place / "runs" / "one" / MODEL_FILE)  # trained on
    with pytest.raises(CodeSetError, match=r"has been trained since.*encode the images again"):
        search(asked, database)


def test_a_run_that_moved_is_found_or_asked_for(place: Path) -> None:
    shutil.move(place / "runs" / "one", place / "elsewhere")
    database = CodeSet.open("codes.npy")
    asked = open_images(["asked"])
    with pytest.raises(CodeSetError, match=r"made with runs/one, which is not there; .*--run"):
        search(asked, database)
    assert len(search(asked, database, run=Path("elsewhere")).queries) == 6
    assert len(search(asked, database, run=Path("elsewhere") / MODEL_FILE).queries) == 6
    with pytest.raises(ConfigError, match="no such run"):
        search(asked, database, run=Path("nowhere"))
    Path("runs/latest").unlink()
    shutil.move(place / "elsewhere", place / "runs" / "renamed")
    set_latest(place / "runs" / "renamed")
    assert len(search(asked, database).queries) == 6


def test_a_folder_of_images_run_and_codes_moves_as_a_whole(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = place.rename(place.with_name("moved"))
    monkeypatch.chdir(moved.parent)
    results = search(open_images(["moved/photos/05.png"]), CodeSet.open("moved/codes.npy"), k=1)
    assert results.queries[0].hits[0].file == moved / "photos" / "05.png"
    log: list[str] = []
    encode(load_model("moved/runs/one"), "moved/photos", "moved/codes.npy", log=log.append)
    assert "up to date" in log[0]


def test_bare_codes_need_a_model_by_name(place: Path) -> None:
    np.save("bare.npy", CodeSet.open("codes.npy").codes)
    bare = CodeSet.open("bare.npy")
    with pytest.raises(CodeSetError, match="does not say which model made it"):
        search(open_images(["asked"]), bare)
    results = search(open_images(["photos/09.png"]), bare, run=Path("runs/one"), k=1)
    assert found(results) == [[(0, 9)]]


def test_what_re_ranking_needs(place: Path) -> None:
    model = load_model()
    plain = encode(model, "photos", "plain.npy")
    with pytest.raises(CodeSetError, match=r"plain\.npy has no features .*--features"):
        search(open_images(["asked"]), plain, rerank=True)
    with pytest.raises(CodeSetError, match=r"queries\.npy has no features .*--features"):
        search(encode(model, "asked", "queries.npy"), CodeSet.open("codes.npy"), rerank=True)


# -- labels ----------------------------------------------------------------------------------------

NAMES = ("cat", "dog", "ship")


def labelled(place: Path) -> CodeSet:
    """The photos, of which every third is a cat, a dog, a ship."""
    paths = sorted(file.name for file in (place / "photos").iterdir())
    labels = np.eye(3, dtype=np.uint8)[np.arange(40) % 3]
    return encode(load_model(), ImageList(paths, labels, place / "photos", NAMES), "labelled.npy")


def test_hits_are_judged_by_the_labels_of_a_list(place: Path) -> None:
    database = labelled(place)
    write_list(
        Path("list.txt"), ["asked/00.png", "asked/01.png"], np.eye(3, dtype=np.uint8)[[2, 0]]
    )
    results = search(open_images(["list.txt"]), database, k=40)
    assert [query.labels for query in results.queries] == [("ship",), ("cat",)]
    for query, own in zip(results.queries, (2, 0), strict=True):
        for hit in query.hits:
            assert hit.labels == (NAMES[hit.row % 3],)
            assert hit.relevant == (hit.row % 3 == own)
        assert query.correct == sum(row % 3 == own for row in range(40))


def test_a_query_of_the_database_has_its_label_there(place: Path) -> None:
    results = search(open_images(["photos/04.png"]), labelled(place))
    assert results.queries[0].labels == ("dog",)
    assert results.queries[0].hits[0].relevant is True


def test_a_query_in_a_class_folder_has_that_label(place: Path) -> None:
    database = labelled(place)
    make_pictures(place / "new" / "cat", 1, seed=5)
    make_pictures(place / "new" / "lion", 1, seed=6)
    results = search(open_images(["new"]), database, k=3)
    assert [query.labels for query in results.queries] == [("cat",), ()]
    assert [hit.relevant for hit in results.queries[1].hits] == [None, None, None]
    assert results.queries[1].correct is None
    unlabelled = search(open_images(["new"]), CodeSet.open("codes.npy"), k=3)
    assert [query.labels for query in unlabelled.queries] == [(), ()]


def test_several_labels_and_names_in_another_order() -> None:
    codes = np.array([[0], [1], [3]], np.uint8)
    several = np.array([[1, 1, 0], [0, 0, 1], [0, 0, 0]], np.uint8)
    database = CodeSet.from_arrays(codes, 8, labels=several, class_names=NAMES)
    queries = CodeSet.from_arrays(
        codes[:1], 8, labels=np.array([0], np.int32), class_names=("dog", "ship", "cat")
    )
    query = search(queries, database).queries[0]
    assert query.labels == ("dog",)
    assert [hit.labels for hit in query.hits] == [("cat", "dog"), ("ship",), ()]
    assert [hit.relevant for hit in query.hits] == [True, False, None]
    assert query.correct == 1
    nameless = CodeSet.from_arrays(codes, 8, labels=np.array([7, 1, -1], np.int32))
    hits = search(nameless, nameless).queries[0].hits
    assert [(hit.labels, hit.relevant) for hit in hits] == [
        (("7",), True),
        (("1",), False),
        ((), None),
    ]


def test_ties_at_the_end_of_a_list_are_told() -> None:
    near, far = [0b0000_0000], [0b1111_1111]
    codes = np.array([near, far, near, near], np.uint8)
    features = np.array([[3.0], [0.0], [1.0], [2.0]], np.float16)
    database = CodeSet.from_arrays(codes, 8, features=features)
    query = CodeSet.from_arrays(np.array([near], np.uint8), 8, features=np.zeros((1, 1)))

    def tied(k: int, **how: int) -> str | None:
        return search(query, database, k=k, **how).tie_note

    assert (tied(2) or "").startswith(
        "1 more image is at the same distance as the last one: add -k 3 to see it; --rerank orders"
    )
    assert "2 more images are at the same distance as the last one: add -k 3 to see them" in (
        tied(1) or ""
    )
    assert tied(3) is None  # the next one is farther
    assert tied(4) is tied(9) is None  # there is no next one
    assert "--shortlist" in (tied(1, rerank=True, shortlist=2) or "")
    assert tied(1, rerank=True, shortlist=3) is None
    assert search(query, database, radius=0).tie_note is None
