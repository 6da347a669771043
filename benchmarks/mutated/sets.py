"""Trials of code sets and indexes that were changed, with sizes and checksums that fit."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from mutated import reference
from mutated.bases import BITS, WORKERS, command, compile_kernels, export, export_no_more
from mutated.reference import Plain, read_plain
from mutated.set_changes import change
from mutated.trial import Output, Trial

CLASSES = ("ant", "bee", "cat")
KINDS = ("labelled", "tagged", "plain")


def build(base: Path) -> None:
    """Pictures, a run, and in `sets` a folder per kind of code set.

    labelled: 20 bits, a class per image. tagged: 20 bits, several labels per image, no names.
    plain: no labels, no features. Each has codes.npy, its index, queries.npy and other.npy.
    """
    from tiny import make_pictures, make_run

    photos = base / "photos"
    for seed, name in enumerate(CLASSES):
        make_pictures(photos / name, 10, seed)
    shutil.copy(photos / "ant/00.png", photos / "bee/copy.png")
    shutil.copy(photos / "ant/00.png", photos / "cat/copy.png")
    (photos / "bee/broken.png").write_bytes(b"no picture")
    make_pictures(base / "more", 6, 7)
    make_pictures(base / "queries", 5, 9)
    shutil.copy(photos / "ant/03.png", base / "queries/known.png")
    run = make_run(base / "run", BITS)
    export(run)
    for folder in ("photos", "more", "queries"):
        paths = sorted(path.relative_to(base / folder) for path in (base / folder).rglob("*.png"))
        index = [f"{path} {number % 3}\n" for number, path in enumerate(map(str, paths))]
        tags = [f"{path} {n % 2} {n % 3 // 2} 1\n" for n, path in enumerate(map(str, paths))]
        (base / folder / "index.txt").write_text("".join(index))
        (base / folder / "tags.txt").write_text("".join(tags))
        (base / folder / "dataset.json").write_text(json.dumps({"class_names": CLASSES}))
    for kind, names, options in (
        ("labelled", "index.txt", ["--features", "--labels", "index"]),
        ("tagged", "tags.txt", ["--features"]),
        ("plain", "", []),
    ):
        folder = base / "sets" / kind
        folder.mkdir(parents=True)
        for source, out in (("photos", "codes"), ("queries", "queries"), ("more", "other")):
            words = ["-o", folder / f"{out}.npy", "--run", run, *options, *WORKERS]
            command("encode", base / source / names, *words)
        command("index", folder / "codes.npy", "--tables")


def ready(base: Path) -> None:
    """Let torch know the model's backbone, should a set want torch; compile the kernels."""
    import tiny  # noqa: F401

    export_no_more()
    for kind in KINDS:
        compile_kernels(base / "sets" / kind / "codes.npy")


def play(base: Path, trial: Trial) -> None:
    """Change a copy of a set of `base`, and run commands on it."""
    random = Random(f"sets {trial.report.number}")
    kind = KINDS[trial.report.number % 3]
    shutil.copytree(base / "sets" / kind, trial.folder, dirs_exist_ok=True)
    trial.report.what = f"{kind}: {change(trial.folder, random)}"
    _Commands(base, trial, random).run()


class _Commands:
    """Runs commands on a changed set, and compares what they say with NumPy alone."""

    def __init__(self, base: Path, trial: Trial, random: Random) -> None:
        self.base, self.trial, self.random = base, trial, random
        self.set = trial.folder / "codes.npy"
        self.queries = read_plain(trial.folder / "queries.npy")
        self.plain = self._read()

    def _read(self) -> Plain | Exception:
        """The changed set; if it is not valid, why."""
        try:
            return read_plain(self.set)
        except Exception as error:
            return error

    def run(self) -> None:
        """The cheap commands always, some others, and at last those that write."""
        from bitcodes.hamming import scanner

        always: list[Callable[[], object]] = [self.search, self.info]
        some = [self.within, self.as_queries, self.row, self.image, self.rerank, self.asymmetric]
        some += [self.duplicates, self.evaluate, self.evaluate_queries, self.merge, self.lines]
        some += [self.table_kernels]
        last = self.random.choice([[self.index, self.search], [self.encode, self.search], []])
        scanner.PLAIN_LIMIT = 10**8
        for work in [*always, *self.random.sample(some, 4), *last]:
            work()

    def check(self, compare: Callable[[Plain, Any], str | None], json: bool = True) -> Any:
        """A check that the set is valid at all, and then that an answer is right."""

        def look(output: Output) -> str | None:
            if isinstance(self.plain, Exception):
                return f"accepted, but {type(self.plain).__name__}: {self.plain!s:.200}"
            return compare(self.plain, output.json() if json else output.out)

        return look

    def search(self) -> None:
        k = self.random.choice([1, 5, 100])
        words = ["search", "queries.npy", "--codes", "codes.npy", "-k", k, "--json"]
        hits = partial(self.hits, k=k, radius=None)
        self.trial.command(*words, check=self.check(lambda plain, value: hits(plain, value)))

    def within(self) -> None:
        radius = self.random.choice([0, 3, 6, 2000])
        words = ["search", "queries.npy", "--codes", "codes.npy", "--radius", radius, "--json"]
        hits = partial(self.hits, k=None, radius=radius)
        self.trial.command(*words, check=self.check(lambda plain, value: hits(plain, value)))

    def hits(
        self,
        plain: Plain,
        value: Any,
        k: int | None,
        radius: int | None,
        queries: Any = None,
        names: Any = (),
    ) -> str | None:
        """What is wrong with the results of queries (Q, K), or None."""
        if queries is None:
            names = self.queries.header["class_names"]
        names = plain.header["class_names"] or names
        queries = self.queries.bits if queries is None else queries
        expected = reference.distances_between(queries, plain.bits)
        for row, result in zip(expected, value["queries"], strict=True):
            pairs = reference.nearest(row, k, radius)
            actual = [(hit["distance"], hit["row"]) for hit in result["results"]]
            if pairs != actual:
                return f"expected {pairs[:9]}, found {actual[:9]}"
            for hit in result["results"]:
                if reference.unescaped(hit["path"].encode()) != reference.unescaped(
                    plain.lines[hit["row"]]
                ):
                    return f"row {hit['row']}: path {hit['path']!r}"
                labels = [reference.unescaped(label.encode()) for label in hit["labels"]]
                if labels != plain.names(hit["row"], names):
                    return f"row {hit['row']}: labels {hit['labels']}"
        return None

    def as_queries(self) -> None:
        """The changed set as queries, in an undamaged one."""
        words = ["search", "codes.npy", "--codes", "other.npy", "-k", "4", "--json"]

        def compare(plain: Plain, value: Any) -> str | None:
            other = read_plain(self.trial.folder / "other.npy")
            names = plain.header["class_names"]
            return self.hits(other, value, 4, None, plain.bits, names)

        self.trial.command(*words, check=self.check(compare))

    def row(self) -> None:
        """The codes of a row, through the library, with an index and with the tables."""
        if isinstance(self.plain, Exception) or not len(self.plain.codes):
            return
        from bitcodes import CodeSet, search
        from bitcodes.hamming import scanner

        row = self.random.randrange(len(self.plain.codes))
        found: list[Any] = []

        def work() -> None:
            code_set = CodeSet.open(self.set)
            one = CodeSet.from_arrays(np.array(code_set.codes[row : row + 1]), code_set.bits)
            result = search(one, code_set, k=7, force=True)
            found.append(result.to_dict())

        plain = self.plain
        query = plain.bits[row : row + 1]
        scanner.PLAIN_LIMIT = self.random.choice([-1, 10**8])
        self.trial.call(
            f"search row {row}", work, lambda _: self.hits(plain, found[0], 7, None, query)
        )
        scanner.PLAIN_LIMIT = 10**8

    def table_kernels(self) -> None:
        """Searches by the index itself, by its tables where it has any."""
        if isinstance(self.plain, Exception) or not len(self.plain.codes):
            return
        from bitcodes import CodeSet
        from bitcodes.hamming import scanner
        from bitcodes.hamming.multi import MultiIndex
        from bitcodes.hamming.stored import open_index

        found: list[Any] = []

        def work() -> None:
            code_set = CodeSet.open(self.set)
            index = open_index(code_set)
            if isinstance(index, MultiIndex):
                index.method = "tables"
            queries = np.array(code_set.codes[::5])
            near = index.within(queries, 4)
            found[:] = [*index.search(queries, 6), near.offsets, near.distances, near.rows]

        def compare(_: Output) -> str | None:
            assert isinstance(self.plain, Plain)
            every = reference.distances_between(self.plain.bits[::5], self.plain.bits)
            for query, row in enumerate(every):
                pairs = reference.nearest(row, 6, None)
                count = len(pairs)
                actual = list(zip(*(one[query][:count].tolist() for one in found[:2]), strict=True))
                if actual != pairs:
                    return f"query {query}: expected {pairs}, found {actual}"
                span = slice(int(found[2][query]), int(found[2][query + 1]))
                ball = list(zip(found[3][span].tolist(), found[4][span].tolist(), strict=True))
                if ball != reference.nearest(row, None, 4):
                    return f"query {query}: another ball, {ball[:9]}"
            return None

        scanner.PLAIN_LIMIT = -1
        self.trial.call("index.search with tables", work, compare)
        scanner.PLAIN_LIMIT = 10**8

    def image(self) -> None:
        words = ["search", self.base / "queries/known.png", "--codes", "codes.npy", "--json"]
        self.trial.command(*words, "-k", 3, *WORKERS, check=self.check(self.image_hits))

    def image_hits(self, plain: Plain, value: Any) -> str | None:
        """The image's own code is that in the undamaged queries."""
        row = next(n for n, line in enumerate(self.queries.lines) if line == b"known.png")
        return self.hits(plain, value, 3, None, self.queries.bits[row : row + 1])

    def rerank(self) -> None:
        words = ["search", "queries.npy", "--codes", "codes.npy", "--rerank", "-k", 4, "--json"]
        self.trial.command(*words, check=self.check(self.reranked))

    def reranked(self, plain: Plain, value: Any) -> str | None:
        """Of all rows, the nearest in features; equal ones by distance, then row."""
        features, queries = plain.features, self.queries.features
        assert features is not None and queries is not None
        distances = reference.distances_between(self.queries.bits, plain.bits)
        for query, result in enumerate(value["queries"]):
            away = features.astype(np.float64) - queries[query].astype(np.float64)
            scores = np.sqrt((away**2).sum(axis=1))
            actual = [hit["row"] for hit in result["results"]]
            order = np.lexsort((np.arange(len(scores)), distances[query], scores))[:4]
            if not np.allclose(scores[actual], scores[order], rtol=1e-3, atol=1e-3):
                return f"query {query}: expected rows {order.tolist()}, found {actual}"
            if [hit["distance"] for hit in result["results"]] != distances[query, actual].tolist():
                return f"query {query}: other distances"
        return None

    def asymmetric(self) -> None:
        words = ["search", self.base / "queries/known.png", "--codes", "codes.npy", "--json"]

        def compare(plain: Plain, value: Any) -> str | None:
            row = next(n for n, line in enumerate(self.queries.lines) if line == b"known.png")
            distances = reference.distances_between(self.queries.bits[row : row + 1], plain.bits)[0]
            hits = value["queries"][0]["results"]
            wrong = [hit for hit in hits if hit["distance"] != distances[hit["row"]]]
            return f"other distances: {wrong[:1]}" if wrong else None

        self.trial.command(*words, "--asymmetric", *WORKERS, check=self.check(compare))

    def duplicates(self) -> None:
        radius = self.random.choice([0, 2, 5])

        def compare(plain: Plain, value: Any) -> str | None:
            actual = sorted(sorted(one["row"] for one in group) for group in value["groups"])
            expected = reference.groups(plain, radius)
            return None if actual == expected else f"expected {expected}, found {actual}"

        words = ["duplicates", "codes.npy", "--radius", radius, "--json"]
        self.trial.command(*words, check=self.check(compare))
        if self.random.random() < 0.3:
            self.trial.command("duplicates", "codes.npy", "--keep", "largest")

    def info(self) -> None:
        def compare(plain: Plain, value: Any) -> str | None:
            actual = value["count"], value["bits"], value["skipped"]
            file = self.set.with_suffix(".skipped.txt")
            lines = file.read_bytes().count(b"\n") if "skipped" in plain.header["files"] else 0
            expected = len(plain.codes), plain.header["bits"], lines
            return None if actual == expected else f"expected {expected}, found {actual}"

        self.trial.command("info", "codes.npy", "--json", check=self.check(compare))
        if self.random.random() < 0.3:
            self.trial.command("info", "codes.npy", check=self.check(_nothing, json=False))

    def evaluate(self) -> None:
        words = ["evaluate", "--queries", "queries.npy", "--database", "codes.npy", "--json"]
        self.trial.command(
            *words, check=self.check(lambda plain, value: self.figures(self.queries, plain, value))
        )

    def evaluate_queries(self) -> None:
        words = ["evaluate", "--queries", "codes.npy", "--database", "other.npy", "--json"]
        other = read_plain(self.trial.folder / "other.npy")
        self.trial.command(
            *words, check=self.check(lambda plain, value: self.figures(plain, other, value))
        )

    def figures(self, queries: Plain, database: Plain, value: Any) -> str | None:
        """The mAP, and how many queries cannot be answered."""
        distances = reference.distances_between(queries.bits, database.bits)
        relevant = reference.relevance(queries, database)
        expected = reference.expected_map(distances, relevant)
        actual = value["figures"]["map"]
        same = actual is None if expected is None else abs(actual - expected) < 1e-9
        unanswerable = int((~relevant.any(axis=1)).sum())
        if not same or value["unanswerable_queries"] != unanswerable:
            return f"expected mAP {expected}, found {actual}"
        return None

    def merge(self) -> None:
        def compare(plain: Plain, _: Any) -> str | None:
            merged = read_plain(self.trial.folder / "merged.npy")
            other = read_plain(self.trial.folder / "other.npy")
            for name in ("codes", "labels", "features", "stat"):
                parts = [getattr(one, name) for one in (other, plain)]
                whole = getattr(merged, name)
                if (whole is None) != (parts[0] is None):
                    return f"{name}: none"
                if whole is not None and not np.array_equal(whole, np.concatenate(parts)):
                    return f"{name} differ"
            return None if len(merged.lines) == len(merged.codes) else "paths differ"

        words = ["merge", "other.npy", "codes.npy", "-o", "merged.npy"]
        self.trial.command(*words, check=self.check(compare, json=False))

    def lines(self) -> None:
        """As text, in a pipe: a line per hit."""
        words = ["search", "queries.npy", "--codes", "codes.npy", "-k", 3]

        def compare(plain: Plain, text: str) -> str | None:
            hits = len(self.queries.codes) * min(3, len(plain.codes))
            lines = text.split("\n")[:-1]
            same = len(lines) == hits and all(line.count("\t") == 5 for line in lines)
            return None if same else f"expected {hits} lines of 6 fields: {text[:300]!r}"

        self.trial.command(*words, check=self.check(compare, json=False))

    def index(self) -> None:
        option = self.random.choice(["--tables", "--no-tables"])
        self.trial.command("index", "codes.npy", option, "--json", check=self.check(_nothing))

    def encode(self) -> None:
        """Brought up to date: codes that the set had are kept or those of the undamaged set."""
        before = self.plain
        good = read_plain(self.base / "sets" / self.kind / "codes.npy")

        def compare(_: Output) -> str | None:
            after = read_plain(self.set)
            if isinstance(before, Plain) and after.header == before.header:
                return None  # up to date, it says
            if after.lines != good.lines:
                return f"other paths: {after.lines[:3]}"
            for row, line in enumerate(after.lines):
                known = {good.codes[row].tobytes()}
                if isinstance(before, Plain):
                    same = [n for n, other in enumerate(before.lines) if other == line]
                    known |= {before.codes[n].tobytes() for n in same}
                if after.codes[row].tobytes() not in known:
                    return f"row {row} has a code that is of neither"
            return None

        self.trial.command("encode", "-o", "codes.npy", *WORKERS, check=compare)
        self.plain = self._read()

    @property
    def kind(self) -> str:
        """The kind of the set that was changed."""
        return KINDS[self.trial.report.number % 3]


def _nothing(plain: Plain, value: Any) -> None:
    """Any answer is right."""
