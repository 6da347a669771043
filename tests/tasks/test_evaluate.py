"""Evaluating a run: encodes what is missing, once, and notices what has changed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bitcodes.codes.codeset import CodeSet
from bitcodes.datasets.class_folders import prepare_folder
from bitcodes.errors import BitcodesError, ConfigError, DataError
from bitcodes.runs import MODEL_FILE, set_latest
from bitcodes.settings import Settings
from bitcodes.sources.lists import write_list
from bitcodes.tasks.evaluate import evaluate

CLASSES = ["dark", "light"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data/tiny (24 dark and light pictures) and runs/tiny, an untrained model."""
    from bitcodes.images.transforms import Preprocessing
    from bitcodes.models.checkpoint import save_model
    from bitcodes.models.hashing import HashModel

    folder = tmp_path_factory.mktemp("made")
    make_data(folder / "data" / "tiny", seed=0)
    run = folder / "runs" / "tiny"
    run.mkdir(parents=True)
    Settings(data=folder / "data" / "tiny", bits=16).save(run / "config.yaml")
    half = (0.5, 0.5, 0.5)
    model = HashModel(
        "tf_efficientnet_lite0",
        16,
        Preprocessing(image_size=32, mean=half, std=half),
        tuple(CLASSES),
    )
    save_model(model, run / MODEL_FILE)
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as the working folder."""
    folder = tmp_path / "place"
    shutil.copytree(made, folder)
    settings = Settings(data=folder / "data" / "tiny", bits=16)
    settings.save(folder / "runs" / "tiny" / "config.yaml")
    monkeypatch.chdir(folder)
    set_latest(Path("runs/tiny"))
    return folder


def make_data(folder: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    (folder / "images").mkdir()
    names = []
    for number in range(24):
        pixels = rng.integers(0, 128, (32, 32, 3), np.uint8) + 127 * (number % 2)
        names.append(f"images/{number:02}.png")
        Image.fromarray(pixels.astype(np.uint8)).save(folder / names[-1])
    labels = np.eye(2, dtype=np.uint8)[np.arange(24) % 2]
    write_list(folder / "train.txt", names[6:], labels[6:])
    write_list(folder / "database.txt", names[6:], labels[6:])
    write_list(folder / "test.txt", names[:6], labels[:6])
    description = {"class_names": CLASSES, "protocol": "full", "seed": seed}
    (folder / "dataset.json").write_text(json.dumps(description))


def test_a_run_is_encoded_and_scored(place: Path) -> None:
    seen: list[str] = []

    class Watch:
        def __init__(self, what: str) -> None:
            seen.append(what)

        def __enter__(self):  # type: ignore[no-untyped-def]
            return lambda done, total: None

        def __exit__(self, *_: object) -> None:
            pass

    evaluation = evaluate(progress=Watch)
    assert seen == ["encoding queries", "encoding database"]
    assert (evaluation.queries, evaluation.database, evaluation.bits) == (6, 18, 16)
    assert [entry.name for entry in evaluation.classes] == CLASSES
    assert evaluation.about["protocol"] == "full"
    assert evaluation.about["data"] == str(place / "data" / "tiny")
    assert "two_stage" in evaluation.figures

    # The kept code sets say the same by themselves, and nothing is encoded again.
    folder = place / "runs" / "tiny" / "evaluation"
    stored = evaluate(queries=folder / "queries.npy", database=folder / "database.npy")
    again = evaluate("runs/tiny", progress=Watch)
    assert len(seen) == 2
    for other in (stored, again):
        assert other.figures == pytest.approx(evaluation.figures, nan_ok=True)


def test_the_main_figure_of_a_dataset_comes_first(place: Path) -> None:
    plain = evaluate()
    assert (next(iter(plain.figures)), plain.metric) == ("map", "map")
    assert "metric" not in plain.to_dict()

    file = place / "data/tiny/dataset.json"
    description = json.loads(file.read_text())
    file.write_text(json.dumps({**description, "metric": "map@5000"}))
    evaluation = evaluate()
    assert list(evaluation.figures)[:2] == ["map@5000", "map"]
    assert evaluation.figures == pytest.approx(plain.figures, nan_ok=True)
    document = evaluation.to_dict()
    assert document["metric"] == "map@5000"
    assert next(iter(document["intervals"])) == "map@5000"
    assert repr(evaluation).startswith("<Evaluation: mAP@5000 ")
    assert "main figure of this dataset is mAP@5000" in evaluation.notes[0]

    file.write_text(json.dumps({**description, "metric": "map@7"}))
    with pytest.raises(BitcodesError, match="one of map, map@1000, map@5000; found 'map@7'"):
        evaluate()


def test_a_second_call_loads_no_torch(place: Path) -> None:
    evaluate()
    script = (
        "import sys; from bitcodes import evaluate\n"
        "assert evaluate().queries == 6\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_codes_of_other_weights_or_lists_are_made_anew(place: Path) -> None:
    from bitcodes.models.checkpoint import load_model, save_model

    first = evaluate()
    folder = place / "runs" / "tiny" / "evaluation"
    old = CodeSet.open(folder / "database.npy").fingerprint

    model = load_model("runs/tiny")
    model.hash_layer.weight.data.neg_()
    save_model(model, place / "runs" / "tiny" / MODEL_FILE)
    evaluate()
    assert CodeSet.open(folder / "database.npy").fingerprint != old

    lines = (place / "data/tiny/test.txt").read_text().splitlines(keepends=True)
    (place / "data/tiny/test.txt").write_text("".join(lines[:4]))
    assert evaluate().queries == 4 < first.queries


def test_kept_codes_that_are_damaged_are_made_anew(place: Path) -> None:
    first = evaluate()
    folder = place / "runs" / "tiny" / "evaluation"
    (folder / "database.npy").write_bytes(b"broken")
    (folder / "two_stage.npy").write_bytes(b"broken")
    assert evaluate().figures == pytest.approx(first.figures, nan_ok=True)
    (folder / "evaluated.json").write_text("[]")
    (folder / "queries.labels.npy").unlink()
    assert evaluate().figures == pytest.approx(first.figures, nan_ok=True)
    scores = np.load(folder / "two_stage.npy")
    for other in (scores / 2, scores * np.nan, scores[::-1] + 1e-9, scores.astype(np.float32)):
        np.save(folder / "two_stage.npy", other)  # a sound file, but not that of this evaluation
        assert evaluate().figures == pytest.approx(first.figures, nan_ok=True)
        np.testing.assert_array_equal(np.load(folder / "two_stage.npy"), scores)


@pytest.mark.parametrize("protocol", [3, ["a"], {"a": "b"}, None])
def test_a_kept_protocol_that_is_no_text_is_left_out(place: Path, protocol: object) -> None:
    evaluate()
    file = place / "runs/tiny/evaluation/evaluated.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "protocol": protocol}))
    assert evaluate().about["protocol"] is None


def test_other_data_has_a_folder_of_its_own(place: Path) -> None:
    evaluate()
    make_data(place / "data" / "other", seed=1)
    other = evaluate(data="data/other")
    assert other.about["query_codes"].endswith("evaluation-other/queries.npy")
    assert (place / "runs/tiny/evaluation/queries.npy").exists()


def test_equal_lists_in_two_folders_of_one_name_are_different_data(place: Path) -> None:
    for seed, version in enumerate(("first", "second"), 1):
        make_data(place / version / "photos", seed=seed)
    description = place / "first/photos/dataset.json"
    shutil.copy(description, place / "second/photos/dataset.json")
    first, second = (evaluate(data=f"{version}/photos") for version in ("first", "second"))
    assert [each.sets[0].root for each in (first, second)] == [
        place / version / "photos" for version in ("first", "second")
    ]
    assert (first.sets[0].codes != second.sets[0].codes).any()


def make_class_folders(folder: Path, of: Path) -> Path:
    for path in sorted((of / "images").iterdir()):
        place = folder / CLASSES[int(path.stem) % 2]
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    return folder


@pytest.mark.parametrize("model", [None, "built-in", "built-in-32"])
def test_class_folders_are_evaluated_as_they_are(model: str | None, place: Path) -> None:
    sorted_ = make_class_folders(place / "sorted", place / "data" / "tiny")
    done = evaluate(model, data="sorted", workers=0)
    assert (done.queries, done.database) == (2, 22)
    assert done.notes[0] == (
        "Queries are 10% of the images of each class in sorted; the others are the database."
    )
    assert done.about["data"] == "sorted"
    assert {entry.name for entry in done.classes} == set(CLASSES)
    # The same division as that of `prepare folder`.
    prepare_folder(sorted_, place / "lists")
    again = evaluate(model, data="lists", workers=0)
    assert again.query_digest == done.query_digest
    assert again.figures == pytest.approx(done.figures, nan_ok=True)
    # New images come in, and another folder of the same name is not mixed up with it.
    shutil.copy(place / "data/tiny/images/00.png", sorted_ / "dark" / "new.png")
    assert evaluate(model, data="sorted", workers=0).database in (22, 23)
    other = make_class_folders(place / "other" / "sorted", place / "data" / "tiny")
    assert evaluate(model, data=other, workers=0).database == 22


def test_divided_class_folders_stay_divided(place: Path) -> None:
    make_class_folders(place / "set" / "train", place / "data" / "tiny")
    make_class_folders(place / "set" / "test", place / "data" / "tiny")
    shutil.rmtree(place / "set" / "test" / "light")
    (place / "set" / "test" / "light").mkdir()
    shutil.copy(place / "data/tiny/images/01.png", place / "set" / "test" / "light")
    done = evaluate(data="set", workers=0)
    assert (done.queries, done.database) == (13, 24)
    assert done.notes[0] == "Queries are test/ in set; train/ are the database."


def test_the_built_in_model_takes_the_data_of_the_newest_run(place: Path) -> None:
    built_in = evaluate("built-in", workers=0)
    assert built_in.about["data"] == str(place / "data" / "tiny")
    assert built_in.query_digest == evaluate(workers=0).query_digest
    assert built_in.figures["map"] > 0
    shutil.rmtree(place / "runs")
    with pytest.raises(ConfigError, match=r"of yours: name, as its data \(--data\), a folder"):
        evaluate("built-in")


@pytest.mark.parametrize(
    ("names", "reason"), [(("a",), "has no class"), (("2001", "2002"), "date")]
)
def test_images_without_classes_are_refused(
    names: tuple[str, ...], reason: str, place: Path
) -> None:
    for name in names:
        shutil.copytree(place / "data/tiny/images", place / "photos" / name)
    for model in (None, "built-in"):
        with pytest.raises(ConfigError, match=f"{reason}.*\n  bitcodes evaluate --data CLASS"):
            evaluate(model, data="photos")


def test_the_class_folders_of_a_run_are_those_it_was_trained_on(place: Path) -> None:
    """Its own lists, not new ones, in which images of the training could be queries."""
    sorted_ = make_class_folders(place / "sorted", place / "data" / "tiny")
    Settings(data=sorted_, bits=16).save(place / "runs" / "tiny" / "config.yaml")
    prepare_folder(sorted_, place / "runs" / "tiny" / "lists", queries=3)
    for data in (None, "sorted"):
        assert evaluate(data=data, workers=0).queries == 6
    assert evaluate("built-in", workers=0).queries == 6
    assert evaluate("built-in", data="sorted", workers=0).queries == 2


def test_runs_are_compared_on_the_same_queries(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from bitcodes.cli.app import main
    from bitcodes.models.checkpoint import load_model, save_model

    shutil.copytree(place / "runs" / "tiny", place / "runs" / "other")
    model = load_model("runs/tiny")
    model.hash_layer.weight.data += 0.1
    save_model(model, place / "runs" / "other" / MODEL_FILE)
    for arguments in (["--stages"], ["--json"]):
        with pytest.raises(SystemExit) as exit_:
            main(["evaluate", "runs/tiny", "runs/other", *arguments])
        assert not exit_.value.code
    text = capsys.readouterr().out
    table, _, document = text.partition("\n{")
    assert "mAP - first (95 % interval)" in table
    compared = json.loads("{" + document)
    assert [one["run"] for one in compared["runs"]] == ["runs/tiny", "runs/other"]
    differences = compared["differences"][0]["figures"]
    maps = [one["figures"]["map"] for one in compared["runs"]]
    assert differences["map"]["difference"] == pytest.approx(maps[1] - maps[0])


def test_stages_of_a_run_include_the_asymmetric_one(place: Path) -> None:
    stages = evaluate(stages=True).stages
    assert stages is not None
    assert stages.scores[-1].name == "asymmetric, by hash outputs"
    assert (stages.queries, stages.shortlist) == (6, 1000)
    with pytest.raises(ConfigError, match="--stages or --exclude-self"):
        evaluate(stages=True, exclude_self=True)


def test_classes_that_training_has_not_seen(place: Path) -> None:
    file = place / "data/tiny/dataset.json"
    about = json.loads(file.read_text())
    file.write_text(json.dumps({**about, "unseen_classes": ["light"]}))
    done = evaluate(workers=0)
    for name, numbers in (("seen", [0]), ("unseen", [1])):
        expected = np.isin(done.sets[0].labels, numbers)
        found = ~np.isnan(done.scores[f"map_{name}_among_all"])
        np.testing.assert_array_equal(found, expected)
        # Its only class is all there is among themselves.
        assert done.figures[f"map_{name}_among_{name}"] == pytest.approx(1)
    file.write_text(json.dumps({**about, "unseen_classes": ["gray"]}))
    with pytest.raises(DataError, match='"class_names" in "unseen_classes"; found \'gray\''):
        evaluate(workers=0)


def test_copies_and_neighbours_of_each_order(place: Path) -> None:
    from bitcodes.images.changes import CHANGES
    from bitcodes.images.decode import open_image
    from bitcodes.models.encoding import encode_images

    done = evaluate(copies=4, workers=0)
    orders = done.orders
    assert orders is not None
    assert (orders.originals, orders.queries) == (4, 4)
    assert orders.changes == ("cropped", "blurred", "recompressed", "mirrored")
    (score,) = orders.scores
    assert score.map == pytest.approx(done.figures["map"])
    assert score.decided == pytest.approx(done.figures["decided@10"])
    assert score.distinct == done.health.distinct

    database = CodeSet.open(place / "runs/tiny/evaluation/database.npy")
    stored = np.unpackbits(database.codes, axis=1)
    first = []
    for change in CHANGES.values():
        for row in (0, 6, 11, 17):
            copy = change(open_image(database.absolute_path(row)))
            bits = encode_images("runs/tiny", [copy]).outputs > 0
            distances = (stored != bits).sum(axis=1)
            nearest = np.flatnonzero(distances == distances.min()).tolist()
            first.append((row in nearest) / len(nearest))
    assert score.copy_at_1 == pytest.approx(np.mean(first))
    assert score.copy_at_1 <= score.copy_recall <= 1

    assert 0 < score.in_class <= 1
    built_in = CodeSet.open(place / "runs/built-in-128/evaluation-tiny/database.npy")
    assert list(built_in.paths) == list(database.paths)
    by_built_in = evaluate("built-in", copies=4, workers=0).orders
    assert by_built_in is not None
    assert by_built_in.scores[0].name == "Hamming distance"


def test_copies_need_a_model_and_the_images(place: Path) -> None:
    evaluate(workers=0)
    folder = place / "runs/tiny/evaluation"
    sets = {"queries": folder / "queries.npy", "database": folder / "database.npy"}
    with pytest.raises(ConfigError, match="name a run, without --queries and --database"):
        evaluate(**sets, copies=4)
    with pytest.raises(ConfigError, match="without --exclude-self"):
        evaluate(exclude_self=True, copies=4)
    evaluate("built-in", workers=0)
    (place / "data/tiny/images/06.png").unlink()  # the first of the database
    with pytest.raises(DataError, match=r"06.png: .*--copies changes images of the database"):
        evaluate(copies=4, workers=0)


def test_unreadable_images_are_mentioned(place: Path) -> None:
    (place / "data/tiny/images/07.png").write_bytes(b"")
    evaluation = evaluate()
    assert evaluation.database == 17
    assert "missing from the database: 1 image" in " ".join(evaluation.notes)


def test_what_is_missing_is_named(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BitcodesError, match="nowhere"):
        evaluate("nowhere")
    with pytest.raises(BitcodesError, match="nodata"):
        evaluate(data="nodata")
    with pytest.raises(ConfigError, match="go together"):
        evaluate(queries="a.npy")
    with pytest.raises(ConfigError, match="not both"):
        evaluate("runs/tiny", queries="a.npy", database="b.npy")
    (place / "runs/tiny" / MODEL_FILE).unlink()
    with pytest.raises(ConfigError, match="no weights yet"):
        evaluate()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BitcodesError, match="finetune"):
        evaluate()
