"""The commands on fixed small inputs: what they write and print stays what it was.

Results are stored in results/, a folder a test. Where a change of them is meant, store them anew
with `python -m pytest tests/safety_net --store`, and look at the difference before committing it.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safety_net import inputs
from safety_net.stored import Stored, check_header, check_page

Run = Callable[..., Any]

EXACT = ("--run", "runs/exact", "--engine", "torch", "--workers", 0)


def encode(bitcodes: Run, *arguments: object, **options: Any) -> Any:
    return bitcodes("encode", *EXACT, *arguments, **options)


# encode


def test_encode_a_folder(place: Path, bitcodes: Run, stored: Stored) -> None:
    encode(bitcodes, "photos")
    stored.code_set("codes.npy")
    encode(bitcodes, "photos", "-o", "features.npy", "--features", "--batch-size", 5)
    stored.code_set("features.npy")
    (place / "sets").mkdir()
    encode(bitcodes, "photos/dog", "photos/wide.png", "-o", "sets/two.npy", "--exact")
    stored.code_set("sets/two.npy")


def test_encode_lists(place: Path, bitcodes: Run, stored: Stored) -> None:
    inputs.make_dataset(place / "data", 9, 3)
    encode(bitcodes, "data/database.txt", "-o", "labelled.npy", "--features")
    stored.code_set("labelled.npy")
    lines = b"photos/cat/2.png 1 1 0\nphotos/dog/0.png 0 0 0\nphotos/hen/3.png 0 0 1\n"
    inputs.write(place / "several.txt", lines)
    encode(bitcodes, "several.txt", "-o", "several.npy")
    stored.code_set("several.npy")
    inputs.write(place / "lists" / "plain.txt", b"hen/0.png\ncat/1.png\n")
    encode(bitcodes, "lists/plain.txt", "-o", "plain.npy", "--root", "photos")
    stored.code_set("plain.npy")


def test_encode_archives(place: Path, bitcodes: Run, stored: Stored) -> None:
    members = {f"pictures/{name}": content for name, content in inputs.photos().items()}
    members = {name: content for name, content in members.items() if name.isascii()}
    members["pictures/notes.txt"] = b"no image\n"
    archives = {
        "plain.tar": inputs.tar(members),
        "stored.zip": inputs.zipped(members),
        "packed.tar.gz": inputs.gzipped(inputs.tar(members)),
        "part-1.tar": inputs.tar(dict(list(members.items())[:5])),
        "part-2.tar": inputs.tar(dict(list(members.items())[5:8])),
    }
    for name, content in archives.items():
        inputs.write(place / name, content)
    # The digest of an archive's version covers the folder that it lies in.
    for name in ("plain.tar", "stored.zip", "packed.tar.gz"):
        out = f"{name.split('.')[0]}.npy"
        encode(bitcodes, name, "-o", out)
        stored.code_set(out, varying=("source",))
    encode(bitcodes, "part-{1..2}.tar", "-o", "shards.npy")
    stored.code_set("shards.npy", varying=("source",))
    before = (place / "plain.npy").stat().st_ino
    encode(bitcodes, "plain.tar", "-o", "plain.npy")
    assert (place / "plain.npy").stat().st_ino == before


def test_encode_standard_input(place: Path, bitcodes: Run, stored: Stored) -> None:
    paths = "photos/hen/1.png\nphotos/é ü.png\nphotos/cat/0.png\n".encode()
    encode(bitcodes, "-", "-o", "here.npy", stdin=paths)
    stored.code_set("here.npy")
    encode(bitcodes, "-", "--root", "photos", "-o", "rooted.npy", stdin=b"dog/3.png\nwide.png\n")
    stored.code_set("rooted.npy")


def test_encode_again(place: Path, bitcodes: Run, stored: Stored) -> None:
    encode(bitcodes, "photos", "--features")
    files = {path: (path.stat().st_ino, path.read_bytes()) for path in place.glob("codes.*")}
    encode(bitcodes, "photos", "--features")
    assert files == {p: (p.stat().st_ino, p.read_bytes()) for p in place.glob("codes.*")}

    inputs.write(place / "photos/cat/2.png", inputs.png(inputs.picture("changed")), seconds=5)
    inputs.write(place / "photos/dog/9.png", inputs.png(inputs.picture("new")), seconds=5)
    (place / "photos/hen/0.png").unlink()
    encode(bitcodes, "photos", "--features")
    stored.code_set("codes.npy")
    encode(bitcodes, "photos", "--features", "-o", "anew.npy")
    for path in place.glob("codes.*"):
        assert path.read_bytes() == place.joinpath(f"anew{path.name[5:]}").read_bytes()


def test_encode_append(place: Path, bitcodes: Run, stored: Stored) -> None:
    inputs.write(place / "list.txt", b"photos/hen/2.png 0 0 1\nphotos/cat/3.png 1 0 0\n")
    encode(bitcodes, "list.txt")
    inputs.write(place / "photos/cat/3.png", inputs.png(inputs.picture("changed")), seconds=5)
    more = b"photos/dog/1.png 0 1 0\nphotos/cat/3.png 0 1 0\nphotos/hen/2.png 0 0 1\n"
    inputs.write(place / "more.txt", more)
    encode(bitcodes, "more.txt", "--append")
    stored.code_set("codes.npy")
    files = {path: (path.stat().st_ino, path.read_bytes()) for path in place.glob("codes.*")}
    encode(bitcodes, "more.txt", "--append")
    assert files == {p: (p.stat().st_ino, p.read_bytes()) for p in place.glob("codes.*")}


def test_encode_damaged_images(place: Path, bitcodes: Run, stored: Stored) -> None:
    whole = inputs.png(inputs.picture("whole"))
    inputs.write(place / "photos/cat/torn.png", whole[: len(whole) // 2])
    inputs.write(place / "photos/text.png", b"text")
    inputs.write(place / "photos/empty.png", b"")
    encode(bitcodes, "photos")
    stored.code_set("codes.npy")
    encode(bitcodes, "photos", "--strict", "-o", "strict.npy", expect=1)
    assert not (place / "strict.npy").exists()


def test_parts_and_merge(place: Path, bitcodes: Run, stored: Stored) -> None:
    inputs.write(place / "photos/text.png", b"text")
    for number in (1, 2, 3):
        part = ("--part", f"{number}/3", "-o", f"part{number}.npy")
        encode(bitcodes, "photos", *part, "--features")
    stored.code_set("part2.npy")
    bitcodes("merge", "part1.npy", "part2.npy", "part3.npy")
    stored.code_set("codes.npy")
    encode(bitcodes, "photos", "--features", "-o", "whole.npy")
    for path in place.glob("whole.*"):
        assert path.read_bytes() == place.joinpath(f"codes{path.name[5:]}").read_bytes()
    encode(bitcodes, "photos/cat", "-o", "cats.npy")
    encode(bitcodes, "photos/deep", "-o", "deep.npy")
    bitcodes("merge", "cats.npy", "deep.npy", "-o", "roots.npy")
    stored.code_set("roots.npy")
    bitcodes("merge", "part1.npy", "cats.npy", "-o", "other.npy", expect=1)
    bitcodes("merge", "part1.npy", "part2.npy", expect=1)
    bitcodes("merge", "part1.npy", "part2.npy", "--force", expect=1)  # a part is missing


# search


@pytest.fixture
def searched(place: Path, bitcodes: Run) -> Path:
    """codes.npy of the photos with features, labelled.npy of a list, and queries."""
    encode(bitcodes, "photos", "--features")
    inputs.make_dataset(place / "data", 24, 6)
    encode(bitcodes, "data/database.txt", "-o", "labelled.npy", "--features")
    for label in range(3):
        name = inputs.CLASSES[label]
        inputs.write(place / f"queries/{name}/q.png", inputs.png(inputs.of_class(label, 77)))
    return place


MODES: dict[str, tuple[object, ...]] = {
    "nearest": ("-k", 5),
    "radius": ("--radius", 7),
    "radius and k": ("--radius", 9, "-k", 2),
    "rerank": ("--rerank", "-k", 4),
    "rerank of a shortlist": ("--rerank", "-k", 4, "--shortlist", 5),
    "rerank within a radius": ("--rerank", "--radius", 8),
    "asymmetric": ("--asymmetric", "-k", 4),
    "asymmetric of a shortlist": ("--asymmetric", "-k", 3, "--shortlist", 6),
}


def test_search_json_and_lines(searched: Path, bitcodes: Run, stored: Stored) -> None:
    for name, options in MODES.items():
        arguments = ("search", "queries", "--workers", 0, "--codes", "labelled.npy", *options)
        stored.document(name, bitcodes(*arguments, "--json").json)
        stored.text(f"{name}.tsv", bitcodes(*arguments).out)


def test_search_files_lists_and_standard_input(
    searched: Path, bitcodes: Run, stored: Stored
) -> None:
    inputs.write(searched / "queries/text.png", b"text")
    search = ("search", "-k", 2, "--workers", 0)
    done = bitcodes(*search, "photos/é ü.png", "queries", "--json")
    stored.document("files and a folder", done.json)
    inputs.write(searched / "list.txt", b"photos/hen/2.png 0 0 1\nphotos/cat/3.png 1 0 0\n")
    stored.text("list.tsv", bitcodes(*search, "list.txt").out)
    done = bitcodes(*search, "-", stdin=b"photos/dog/1.png\nqueries/hen/q.png\n")
    stored.text("standard input.tsv", done.out)


def test_search_with_a_code_set(searched: Path, bitcodes: Run, stored: Stored) -> None:
    encode(bitcodes, "data/test.txt", "-o", "queries.npy", "--features")
    search = ("search", "queries.npy", "--codes", "labelled.npy", "-k", 3)
    for name, options in {"plain": (), "rerank": ("--rerank",), "radius": ("--radius", 5)}.items():
        stored.document(name, bitcodes(*search, *options, "--json").json)
        stored.text(f"{name}.tsv", bitcodes(*search, *options).out)
    np.save("bare.npy", np.load("queries.npy"))
    stored.document("bare", bitcodes("search", "bare.npy", "-k", 1, "--force", "--json").json)


def test_search_page(searched: Path, bitcodes: Run, stored: Stored) -> None:
    (searched / "photos/cat/copy of 0.png").unlink()
    Path("pages").mkdir()
    search = ("search", "queries", "-k", 6, "--workers", 0, "--html", "pages/page.html")
    document = bitcodes(*search, "--json").json
    stored.document("page", document)
    queries = [query["path"] for query in document["queries"]]
    hits = [hit for query in document["queries"] for hit in query["results"]]
    page = Path("pages/page.html").read_text(encoding="utf-8")
    check_page(page, queries, [(hit["path"], hit["distance"], hit["rank"]) for hit in hits])


def test_search_refuses(searched: Path, bitcodes: Run, stored: Stored) -> None:
    inputs.make_model(searched / "runs/other/model.safetensors", "other")
    search = ("search", "queries", "--workers", 0)
    bitcodes(*search, "--codes", "none.npy", expect=1)
    bitcodes("search", "nowhere.png", expect=1)
    bitcodes(*search, "--run", "runs/other", expect=1)
    done = bitcodes(*search, "--run", "runs/other", "--force", "-k", 2)
    stored.text("forced.tsv", done.out)
    for wrong in (("--rerank", "--asymmetric"), ("--shortlist", 5), ("-k", 0), ("--radius", -1)):
        bitcodes(*search, *wrong, expect=2)
    encode(bitcodes, "photos", "--run", "runs/other", expect=1)
    encode(bitcodes, "photos", "--run", "runs/other", "--force")
    stored.code_set("codes.npy")


# duplicates, index, info


def test_duplicates(searched: Path, bitcodes: Run, stored: Stored) -> None:
    for radius in (0, 2, 5):
        for keep in ("first", "largest"):
            arguments = ("duplicates", "--radius", radius, "--keep", keep)
            stored.document(f"radius {radius} {keep}", bitcodes(*arguments, "--json").json)
            stored.text(f"radius {radius} {keep}.tsv", bitcodes(*arguments).out)
    document = bitcodes("duplicates", "--radius", 4, "--json", "--html", "page.html").json
    stored.document("page", document)
    groups = sorted(document["groups"], key=lambda images: -len(images))
    shown = [
        (image["path"], image["distance"] if place else None, -1)
        for images in groups
        for place, image in enumerate(images)
    ]
    check_page(Path("page.html").read_text(encoding="utf-8"), [], shown)


def test_index(searched: Path, bitcodes: Run, stored: Stored) -> None:
    search = ("search", "queries", "--workers", 0, "-k", 5)
    scanned = bitcodes(*search, "--json").json
    stored.document("scanned", scanned)
    stored.document("built", bitcodes("index", "--json").json)
    assert bitcodes(*search, "--json").json == scanned
    stored.document("up to date", bitcodes("index", "--json").json)
    stored.document("tables", bitcodes("index", "--tables", "--json").json)
    assert bitcodes(*search, "--json").json == scanned
    within = bitcodes(*search, "--radius", 6, "--json").json
    groups = bitcodes("duplicates", "--radius", 3, "--json").json
    shutil.rmtree("codes.index")
    assert bitcodes(*search, "--radius", 6, "--json").json == within
    assert bitcodes("duplicates", "--radius", 3, "--json").json == groups
    bitcodes("index")
    inputs.write(searched / "photos/hen/8.png", inputs.png(inputs.of_class(2, 77)))
    encode(bitcodes, "photos", "--features")
    stored.document("after a change", bitcodes(*search, "--json").json)
    stored.document("built again", bitcodes("index", "--json").json)


def test_info(searched: Path, bitcodes: Run, stored: Stored) -> None:
    stored.document("folder", bitcodes("info", "--json").json)
    stored.document("list", bitcodes("info", "labelled.npy", "--json").json)
    np.save("bare.npy", np.load("codes.npy"))
    stored.document("bare", bitcodes("info", "bare.npy", "--json").json)
    stored.document("model", bitcodes("info", "runs/exact", "--json").json)
    data = bytearray(Path("codes.npy").read_bytes())
    data[-1] ^= 1
    Path("codes.npy").write_bytes(data)
    bitcodes("info", expect=1)


def test_export(searched: Path, bitcodes: Run) -> None:
    bitcodes("export", "model.onnx", "--run", "runs/exact")
    bitcodes("export", "model.onnx", "--run", "runs/exact", expect=1)
    assert bitcodes("info", "model.onnx", "--json").json["fingerprint"] == inputs.FINGERPRINT
    model = ("--run", "model.onnx", "--workers", 0, "--features")
    bitcodes("encode", "photos", *model, "-o", "onnx.npy")
    for suffix in (".npy", ".paths.txt", ".features.npy", ".stat.npy"):
        assert Path(f"onnx{suffix}").read_bytes() == Path(f"codes{suffix}").read_bytes()
    assert check_header(searched / "onnx.npy")["engine"] == "onnx"


# evaluate


def test_evaluate_code_sets(place: Path, bitcodes: Run, stored: Stored) -> None:
    inputs.make_dataset(place / "data", 24, 9)
    for name in ("test", "database"):
        encode(bitcodes, f"data/{name}.txt", "-o", f"{name}.npy", "--features")
    sets = ("--queries", "test.npy", "--database", "database.npy")
    stored.document("two sets", bitcodes("evaluate", *sets, "--json").json)
    for compat in ("deephash", "lin2015", "predecessor"):
        document = bitcodes("evaluate", *sets, "--compat", compat, "--json").json
        stored.document(compat, document["compat"])
    same = ("--queries", "database.npy", "--database", "database.npy", "--exclude-self")
    stored.document("without themselves", bitcodes("evaluate", *same, "--json").json)
    stages = bitcodes("evaluate", *sets, "--stages", "--json").json["stages"]
    speeds = ("queries_per_second", "milliseconds")
    stored.document("stages", stages, speeds)
    bitcodes("evaluate", "--queries", "test.npy", expect=1)
    bitcodes("evaluate", *sets, "--report", "page.html")
    assert "</html>" in Path("page.html").read_text(encoding="utf-8")


@pytest.mark.exports
def test_evaluate_a_run(place: Path, bitcodes: Run, stored: Stored) -> None:
    inputs.make_dataset(place / "data", 24, 9)
    inputs.write(place / "runs/exact/config.yaml", b"data: data\n")
    evaluate = ("evaluate", "--run", "runs/exact", "--workers", 0, "--device", "cpu", "--json")
    document = bitcodes(*evaluate).json
    stored.document("run", document)
    stored.code_set("runs/exact/evaluation/queries.npy")
    stored.code_set("runs/exact/evaluation/database.npy")
    assert bitcodes(*evaluate).json == document


def test_compare_runs(place: Path, bitcodes: Run, stored: Stored) -> None:
    inputs.make_dataset(place / "data", 24, 9)
    inputs.make_model(place / "runs/other/model.safetensors", "other")
    for name in ("exact", "other"):
        inputs.write(place / f"runs/{name}/config.yaml", b"data: data\n")
    evaluate = ("evaluate", "runs/exact", "runs/other", "--workers", 0, "--device", "cpu")
    document = bitcodes(*evaluate, "--json").json
    stored.document("differences", document["differences"])
    stored.document("other", document["runs"][1])
