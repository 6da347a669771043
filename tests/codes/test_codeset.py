"""Code sets round-trip, and every cut or altered byte of one is a CodeSetError."""

import json
import os
import pickle
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitcodes.codes import codeset
from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.header import FileEntry, parse_header
from bitcodes.codes.pack import pack_bits
from bitcodes.codes.writer import CodeSetWriter, save_code_set
from bitcodes.errors import CodeSetError

FAMILY = {
    "codes.npy",
    "codes.json",
    "codes.paths.txt",
    "codes.labels.npy",
    "codes.features.npy",
    "codes.stat.npy",
    "codes.skipped.txt",
}


def make(rows: int = 5, bits: int = 12, seed: int = 0) -> CodeSet:
    rng = np.random.default_rng(seed)
    return CodeSet.from_arrays(
        pack_bits(rng.integers(0, 2, (rows, bits))),
        bits,
        paths=[f"{seed}/{i}.jpg" for i in range(rows)],
        labels=rng.integers(0, 3, rows),
        features=rng.normal(size=(rows, 3)),
        stat=rng.integers(0, 2**62, (rows, 2)),
        class_names=("cat", "dog", "owl"),
        fingerprint="f" * 64,
        root="/images",
    )


def write_full(path: Path, **fields: object) -> CodeSet:
    """A set with every file there is."""
    made = make()
    with CodeSetWriter(
        path,
        bits=12,
        columns=("labels", "features", "stat"),
        class_names=("cat", "dog", "owl"),
        fingerprint="f" * 64,
        root="/images",
        **fields,  # type: ignore[arg-type]
    ) as writer:
        writer.skip("broken.jpg", "truncated")
        writer.append(made.codes, made.paths, made.labels, made.features, made.stat)
        return writer.commit()


def assert_same(one: CodeSet, other: CodeSet) -> None:
    assert (one.bits, one.count, len(one)) == (other.bits, other.count, len(other))
    assert list(one.paths) == list(other.paths)
    for name in ("codes", "labels", "features", "stat"):
        a, b = getattr(one, name), getattr(other, name)
        assert (a is None) == (b is None)
        if a is not None:
            assert a.dtype == b.dtype
            assert np.array_equal(a, b)
    for name in ("class_names", "fingerprint", "root", "skipped"):
        assert getattr(one, name) == getattr(other, name)


def put(path: Path, data: bytes) -> None:
    path.unlink()  # some file systems flush a file that is truncated and written, but not a new one
    path.write_bytes(data)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def read_all(code_set: CodeSet) -> None:
    """Touch everything that is read late."""
    list(code_set.paths)
    _ = code_set.skipped
    code_set.verify()


@pytest.fixture(scope="module", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("full")
    write_full(folder / "codes.npy")
    return folder


@pytest.fixture
def copy(full: Path, tmp_path: Path) -> Path:
    for name in FAMILY:
        shutil.copy(full / name, tmp_path)
    return tmp_path


# --- round trips ---


def test_the_family(full: Path) -> None:
    assert names(full) == FAMILY
    opened = CodeSet.open(full / "codes.npy")
    opened.verify()
    made = make()
    assert not opened.is_bare
    assert opened.path == full / "codes.npy"
    assert opened.labels is not None
    assert opened.labels.dtype == np.int32
    assert opened.features is not None
    assert opened.features.dtype == np.float16
    assert opened.stat is not None
    assert opened.stat.dtype == np.int64
    assert np.array_equal(opened.codes, made.codes)
    assert list(opened.paths) == list(made.paths)
    assert opened.absolute_path(-1) == Path("/images/0/4.jpg")
    assert opened.skipped == [("broken.jpg", "truncated")]
    assert repr(opened).endswith("codes.npy: 5 codes of 12 bits>")


def test_numpy_reads_and_would_write_the_same_bytes(full: Path, tmp_path: Path) -> None:
    for name in sorted(FAMILY):
        if name.endswith(".npy"):
            array = np.load(full / name, allow_pickle=False)
            np.save(tmp_path / name, array)
            assert (tmp_path / name).read_bytes() == (full / name).read_bytes()


path_text = st.binary(min_size=1, max_size=20).map(
    lambda raw: os.fsdecode(raw.replace(b"\0", b"\n"))
)


@st.composite
def code_sets(draw: st.DrawFn) -> CodeSet:
    bits, rows = draw(st.integers(1, 300)), draw(st.integers(0, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    names = draw(st.lists(path_text, max_size=4, unique=True))
    kind = draw(st.sampled_from(["none", "numbers", "multi-hot"]))
    labels = None
    if kind == "numbers":
        labels = rng.integers(0, len(names) or 2**31 - 1, rows)
    elif kind == "multi-hot":
        labels = rng.integers(0, 2, (rows, len(names) or 3))
    return CodeSet.from_arrays(
        pack_bits(rng.integers(0, 2, (rows, bits))),
        bits,
        paths=draw(st.none() | st.lists(path_text, min_size=rows, max_size=rows)),
        labels=labels,
        features=draw(st.sampled_from([None, rng.normal(size=(rows, 4))])),
        stat=draw(st.sampled_from([None, rng.integers(-(2**63), 2**63 - 1, (rows, 2))])),
        class_names=names,
        fingerprint=draw(st.none() | st.text(alphabet="0123456789abcdef", max_size=64)),
        root=draw(st.none() | path_text.map(lambda name: f"/{name}")),
    )


@given(made=code_sets())
@settings(max_examples=60, deadline=None)
def test_round_trips(made: CodeSet, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("set") / "codes.npy"
    saved = save_code_set(made, path)
    # No rows leave no trace of how wide their columns were.
    if made.count:
        assert_same(saved, made)
    opened = CodeSet.open(path, verify=True)
    assert_same(opened, saved)
    assert_same(save_code_set(opened, path.with_name("again.npy")), saved)
    for suffix in (".npy", ".paths.txt"):
        again, first = (path.with_name(stem + suffix) for stem in ("again", "codes"))
        assert again.read_bytes() == first.read_bytes()


def test_renamed_and_moved_family(copy: Path) -> None:
    moved = copy / "elsewhere"
    moved.mkdir()
    for name in FAMILY:
        (copy / name).rename(moved / name.replace("codes", "my.set", 1))
    assert len(CodeSet.open(moved / "my.set.npy")) == 5


@pytest.mark.posix
def test_links(full: Path, tmp_path: Path) -> None:
    (tmp_path / "alone.npy").symlink_to(full / "codes.npy")
    assert CodeSet.open(tmp_path / "alone.npy").bits == 12
    for name in FAMILY:  # as content-addressed stores lay files out
        (tmp_path / name).symlink_to(full / name)
    assert CodeSet.open(tmp_path / "codes.npy").path == tmp_path / "codes.npy"


def test_saving_refuses_an_existing_set(tmp_path: Path) -> None:
    first = save_code_set(make(), tmp_path / "codes.npy")
    second = make(rows=7, seed=1)
    with pytest.raises(CodeSetError, match=r"exists already .*--force"):
        save_code_set(second, tmp_path / "codes.npy")
    saved = save_code_set(second, tmp_path / "codes.npy", force=True)
    assert_same(saved, second)
    read_all(first)  # still what it was
    assert first.count == 5


def test_replacing_removes_what_the_new_set_lacks(copy: Path) -> None:
    made = make()
    save_code_set(CodeSet.from_arrays(made.codes, 12), copy / "codes.npy", force=True)
    assert names(copy) == {"codes.npy", "codes.json", "codes.paths.txt"}
    assert CodeSet.open(copy / "codes.npy").labels is None


def test_saving_over_itself(copy: Path) -> None:
    opened = CodeSet.open(copy / "codes.npy")
    assert_same(save_code_set(opened, copy / "codes.npy", force=True), opened)


def test_saving_elsewhere_keeps_root_and_run(copy: Path) -> None:
    edit_header(copy, root="pictures", run="runs/a")
    opened = CodeSet.open(copy / "codes.npy")
    beside = save_code_set(opened, copy / "beside.npy")
    assert (beside.header.root, beside.header.run) == ("pictures", "runs/a")
    (copy / "below").mkdir()
    below = save_code_set(opened, copy / "below/codes.npy")
    assert (below.root, below.run) == (copy / "pictures", copy / "runs/a")


def test_in_memory_set_without_paths() -> None:
    made = CodeSet.from_arrays(np.zeros((3, 1), np.uint8), 8)
    assert list(made.paths) == ["0", "1", "2"]
    assert made.path is None
    assert made.root is None
    made.verify()
    with pytest.raises(CodeSetError, match="row 1 is '1'"):
        made.absolute_path(1)


def test_relative_root_is_beside_the_set(copy: Path) -> None:
    edit_header(copy, root="pictures")
    assert CodeSet.open(copy / "codes.npy").absolute_path(0) == copy / "pictures/0/0.jpg"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codes": np.zeros((2, 2), np.int8)}, "uint8"),
        ({"bits": 17}, r"\(N, 3\)"),
        ({"paths": ["a"]}, "a path for each of 2"),
        ({"labels": [1, 2, 3]}, "N = 2"),
        ({"labels": [0.5, 1]}, "integers"),
        ({"labels": [0, 2**31]}, "must fit int32"),
        ({"labels": [[0, 256], [0, 1]]}, "must fit uint8"),
        ({"labels": [[0, 2], [0, 1]]}, "zeros and ones, found 2"),
        ({"labels": [0, 2], "class_names": ["a", "b"]}, "0 to 1.*found 0 to 2"),
        ({"labels": [-1, 0], "class_names": ["a", "b"]}, "0 to 1.*found -1 to 0"),
        ({"labels": [[1], [0]], "class_names": ["a", "b"]}, "2 class names"),
        ({"features": np.zeros(2)}, r"\(N, D\)"),
        ({"features": np.zeros((2, 2), int)}, "floats"),
        ({"features": np.array([[0.0], [1e6]])}, "float16.*row 1"),
        ({"features": np.array([[np.nan], [1.0]])}, "row 0"),
        ({"stat": np.zeros((2, 3), int)}, r"\(2, 2\)"),
    ],
)
def test_arrays_that_do_not_fit(change: dict, message: str) -> None:
    arguments = {"codes": np.zeros((2, 2), np.uint8), "bits": 16, **change}
    with pytest.raises(CodeSetError, match=message):
        CodeSet.from_arrays(**arguments)


# --- bare files ---


def test_codes_that_were_renamed_alone(tmp_path: Path) -> None:
    save_code_set(make(), tmp_path / "codes.npy")
    (tmp_path / "codes.npy").rename(tmp_path / "photos.npy")
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(CodeSetError, match=r"photos\.npy: codes\.json, .* belong to it"):
        CodeSet.open(tmp_path / "photos.npy")
    np.save(tmp_path / "theirs.npy", np.zeros((2, 3), np.uint8))
    assert CodeSet.open(tmp_path / "theirs.npy").is_bare


def test_bare_file(tmp_path: Path) -> None:
    codes = np.arange(12, dtype=np.uint8).reshape(4, 3)
    np.save(tmp_path / "theirs.npy", codes)
    bare = CodeSet.open(tmp_path / "theirs.npy", verify=True)
    assert bare.is_bare
    assert (bare.bits, bare.count) == (24, 4)
    assert np.array_equal(bare.codes, codes)
    assert list(bare.paths) == ["0", "1", "2", "3"]
    assert bare.root is None
    assert bare.fingerprint is None
    assert_same(save_code_set(bare, tmp_path / "ours.npy"), bare)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 2), np.int64), "uint8 of the shape"),
        (np.zeros(3, np.uint8), "uint8 of the shape"),
        (np.zeros((3, 0), np.uint8), "uint8 of the shape"),
        (np.zeros((3, 2), np.uint8, order="F"), "C order"),
    ],
)
def test_bare_files_that_are_not_codes(tmp_path: Path, array: np.ndarray, message: str) -> None:
    np.save(tmp_path / "theirs.npy", array)
    with pytest.raises(CodeSetError, match=message):
        CodeSet.open(tmp_path / "theirs.npy")


@pytest.mark.parametrize(
    ("version", "is_known"),
    [((1, 0), True), ((2, 0), True), ((3, 0), True)]
    + [(version, False) for version in ((0, 1), (1, 1), (4, 0), (9, 9))],
)
def test_versions_of_npy_files(tmp_path: Path, version: tuple[int, int], is_known: bool) -> None:
    text = b"{'descr': '|u1', 'fortran_order': False, 'shape': (3, 2)}\n"
    size = len(text).to_bytes(2 if version == (1, 0) else 4, "little")
    content = b"\x93NUMPY" + bytes(version) + size + text + bytes(6)
    (tmp_path / "theirs.npy").write_bytes(content)
    if is_known:
        assert CodeSet.open(tmp_path / "theirs.npy").codes.shape == (3, 2)
        return
    with pytest.raises(CodeSetError, match=r"version .* of the format"):
        CodeSet.open(tmp_path / "theirs.npy")


def test_never_unpickles(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    objects = np.empty((1, 1), object)
    objects[0, 0] = Trap()
    np.save(tmp_path / "objects.npy", objects, allow_pickle=True)
    (tmp_path / "plain.npy").write_bytes(pickle.dumps(Trap()))
    for name in ("objects.npy", "plain.npy"):
        with pytest.raises(CodeSetError, match=r"Python objects|expected a NumPy array"):
            CodeSet.open(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "shape", [(1,) * 33, (1,) * 65, (0, 2**62), (2**63, 1), (0, 2**64), (-1, 8), (10**400, 1)]
)
def test_sizes_beyond_memory(tmp_path: Path, shape: tuple[int, ...]) -> None:
    fields = {"descr": "|u1", "fortran_order": False, "shape": shape}
    text = repr(fields).encode().ljust(1100) + b"\n"
    header = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
    (tmp_path / "theirs.npy").write_bytes(header + b"\0")
    with pytest.raises(CodeSetError, match=r"theirs\.npy"):
        CodeSet.open(tmp_path / "theirs.npy")


@pytest.mark.parametrize(("role", "dtype"), [("labels", np.uint8), ("features", np.float16)])
def test_columns_of_nothing(tmp_path: Path, role: str, dtype: type) -> None:
    """A writer could not tell them from none; so no set has them, nor takes them."""
    codes, some = np.zeros((3, 1), np.uint8), np.ones((3, 2), dtype)
    with pytest.raises(CodeSetError, match=rf"found {np.dtype(dtype)} \(3, 0\)"):
        CodeSet.from_arrays(codes, 8, **{role: some[:, :0]})
    save_code_set(CodeSet.from_arrays(codes, 8, **{role: some}), tmp_path / "a.npy")
    np.save(tmp_path / f"a.{role}.npy", some[:, :0])
    header = parse_header((tmp_path / "a.json").read_bytes(), tmp_path / "a.json")
    content = (tmp_path / f"a.{role}.npy").read_bytes()
    entry = FileEntry(size=len(content), crc32=zlib.crc32(content))
    changed = header.model_copy(update={"files": {**header.files, role: entry}})
    (tmp_path / "a.json").write_bytes(changed.to_bytes())
    with pytest.raises(CodeSetError, match=rf"a\.{role}\.npy: .*found .* \(3, 0\)"):
        CodeSet.open(tmp_path / "a.npy")


def test_features_that_are_not_finite(tmp_path: Path) -> None:
    features = np.ones((3, 2), np.float16)
    codes = np.zeros((3, 1), np.uint8)
    code_set = save_code_set(CodeSet.from_arrays(codes, 8, features=features), tmp_path / "a.npy")
    file, header_file = tmp_path / "a.features.npy", tmp_path / "a.json"
    features[1, 1] = np.inf
    np.save(file, features)
    files = {**code_set.header.files, "features": entry_of(file)}
    header_file.write_bytes(code_set.header.model_copy(update={"files": files}).to_bytes())
    with pytest.raises(CodeSetError, match="features of row 1 are not finite"):
        CodeSet.open(tmp_path / "a.npy")


def entry_of(file: Path) -> FileEntry:
    data = file.read_bytes()
    return FileEntry(size=len(data), crc32=zlib.crc32(data))


# --- damage ---


def damaged(data: bytes, flips: Iterable[int] = (0x01, 0xFF)) -> Iterator[bytes]:
    for size in range(len(data)):
        yield data[:size]
    yield data + b"\0"
    yield data + b"\n"
    for place in range(len(data)):
        for flip in flips:
            yield data[:place] + bytes([data[place] ^ flip]) + data[place + 1 :]


@pytest.mark.parametrize("name", sorted(FAMILY))
def test_every_truncation_and_every_altered_byte(copy: Path, name: str) -> None:
    victim = copy / name
    data = victim.read_bytes()
    for wrong in damaged(data):
        put(victim, wrong)
        if name == "codes.json" and is_same_json(data, wrong):
            CodeSet.open(copy / "codes.npy")
            continue
        with pytest.raises(CodeSetError, match=r"codes\."):
            CodeSet.open(copy / "codes.npy")
    put(victim, data)
    read_all(CodeSet.open(copy / "codes.npy"))


def is_same_json(data: bytes, other: bytes) -> bool:
    """Whether only spaces and line ends differ."""
    try:
        return bool(json.loads(data) == json.loads(other))
    except ValueError:
        return False


def test_every_altered_bit_of_the_header(full: Path) -> None:
    data = (full / "codes.json").read_bytes()
    header = parse_header(data, full / "codes.json")
    for wrong in damaged(data, [1 << bit for bit in range(8)]):
        if is_same_json(data, wrong):
            assert parse_header(wrong, full / "codes.json") == header
            continue
        with pytest.raises(CodeSetError, match=r"codes\.json: "):
            parse_header(wrong, full / "codes.json")


def test_a_header_in_another_form(full: Path) -> None:
    data = (full / "codes.json").read_bytes()
    header = parse_header(data, full / "codes.json")
    fields = json.loads(data)
    for other in (
        json.dumps(fields),
        json.dumps(dict(reversed(fields.items())), indent="\t", ensure_ascii=False) + "\r\n",
    ):
        assert parse_header(other.encode(), full / "codes.json") == header
    twice = data.replace(b"{", b'{"bits": 3,', 1)
    with pytest.raises(CodeSetError, match="twice"):
        parse_header(twice, full / "codes.json")


@pytest.mark.parametrize("name", sorted(FAMILY - {"codes.json"}))
def test_damage_found_later_when_checksums_are_not_compared(copy: Path, name: str) -> None:
    victim = copy / name
    data = victim.read_bytes()
    for wrong in damaged(data):
        put(victim, wrong)
        with pytest.raises(CodeSetError, match=r"codes\."):
            read_all(CodeSet.open(copy / "codes.npy", verify=False))


def test_damaged_bare_headers_are_errors_or_true(tmp_path: Path) -> None:
    codes = np.arange(1, 13, dtype=np.uint8).reshape(4, 3)
    np.save(tmp_path / "bare.npy", codes)
    data = (tmp_path / "bare.npy").read_bytes()
    for size in range(len(data)):
        put(tmp_path / "bare.npy", data[:size])
        with pytest.raises(CodeSetError):
            CodeSet.open(tmp_path / "bare.npy")
    for place in range(128):
        for bit in range(8):
            wrong = bytearray(data)
            wrong[place] ^= 1 << bit
            put(tmp_path / "bare.npy", wrong)
            try:
                found = CodeSet.open(tmp_path / "bare.npy").codes
            except CodeSetError:
                continue
            assert found.tobytes() == codes.tobytes()


@pytest.mark.parametrize("name", sorted(FAMILY))
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(CodeSetError, match=rf"{name} is missing"):
        CodeSet.open(copy / "codes.npy")


@pytest.mark.parametrize("name", sorted(FAMILY))
@pytest.mark.posix
def test_folders_and_pipes_for_files(copy: Path, name: str) -> None:
    (copy / name).unlink()
    (copy / name).mkdir()
    with pytest.raises(CodeSetError, match=name):
        CodeSet.open(copy / "codes.npy")
    (copy / name).rmdir()
    os.mkfifo(copy / name)
    with pytest.raises(CodeSetError, match=name):
        CodeSet.open(copy / "codes.npy")


@pytest.mark.parametrize("name", sorted(FAMILY - {"codes.json"}))
def test_a_file_of_another_set_of_the_same_shape(copy: Path, name: str) -> None:
    other = bytearray((copy / name).read_bytes())
    other[-2] ^= 1
    (copy / name).write_bytes(other)
    with pytest.raises(CodeSetError, match=rf"{name}: expected content with the CRC-32 \d+, found"):
        CodeSet.open(copy / "codes.npy")


def test_codes_alone_of_a_damaged_set_are_not_bare(copy: Path) -> None:
    (copy / "codes.json").unlink()
    with pytest.raises(CodeSetError, match=r"codes\.json is missing.*paths\.txt is there"):
        CodeSet.open(copy / "codes.npy")


def edit_header(folder: Path, **changes: object) -> None:
    """Change fields as a careless tool would that knows how the checksum is made."""
    import zlib

    fields = json.loads((folder / "codes.json").read_text())
    del fields["crc32"]
    fields.update(changes)
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    fields["crc32"] = zlib.crc32(text.encode())
    (folder / "codes.json").write_text(json.dumps(fields, indent=2, ensure_ascii=False) + "\n")


def _parts(class_bits: int, instance_bits: int, class_weight: int) -> dict[str, int]:
    return {
        "class_bits": class_bits,
        "instance_bits": instance_bits,
        "class_weight": class_weight,
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bits": 17}, r"codes\.npy: expected codes as uint8 \(5, 3\).*found uint8 \(5, 2\)"),
        ({"bits": 11}, "padding"),
        ({"bits": 0}, "bits: .*greater than 0, found 0"),
        ({"bits": "12"}, "bits: .*valid integer, found '12'"),
        ({"bits": True}, "bits: .*valid integer, found True"),
        ({"count": 4}, r"expected codes as uint8 \(4, 2\)"),
        ({"bit_order": "lsb"}, 'expected "bit_order": "msb", found \'lsb\''),
        ({"format": "bitcodes/2"}, 'expected "format": "bitcodes/1", found \'bitcodes/2\''),
        ({"unknown": 1}, "unknown: .*not permitted"),
        ({"parts": {"class_bits": 4}}, "parts.instance_bits: Field required"),
        ({"parts": _parts(4, 9, 4)}, "parts: .*expected parts of 12 bits together"),
        ({"parts": _parts(0, 12, 4)}, "parts.class_bits: .*greater than 0"),
        ({"parts": _parts(4, 8, 3)}, "parts.class_weight: .*1, 2, 4"),
        ({"parts": _parts(4, True, 4)}, "parts.instance_bits: .*valid integer"),
        ({"class_names": ["cat", "dog"]}, "labels must be 0 to 1"),
        ({"class_names": "cat"}, "class_names"),
        ({"class_names": [1]}, "class_names"),
        ({"root": "a\\q"}, "unknown escape"),
        ({"files": {}}, "expected codes and paths"),
        ({"files": {"codes": {"size": -1, "crc32": 0}}}, "files"),
    ],
)
def test_headers_that_contradict(copy: Path, changes: dict, message: str) -> None:
    edit_header(copy, **changes)
    with pytest.raises(CodeSetError, match=message):
        CodeSet.open(copy / "codes.npy")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"a": 1}', "[" * 100_000, "\ufeff{}", '{"format": 1e999}']
)
def test_headers_of_something_else(copy: Path, text: str) -> None:
    (copy / "codes.json").write_text(text)
    with pytest.raises(CodeSetError, match=r"codes\.json: expected"):
        CodeSet.open(copy / "codes.npy")


@given(
    data=st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["format", "bits", "files", "crc32"]), inner, max_size=4
            )
        ),
    ).map(lambda value: json.dumps(value).encode())
)
@settings(deadline=None)
def test_any_other_bytes_for_a_header(data: bytes) -> None:
    with pytest.raises(CodeSetError, match=r"codes\.json: "):
        parse_header(data, Path("codes.json"))


def test_checksums_up_to_a_budget(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    largest = max(FAMILY, key=lambda name: (copy / name).stat().st_size * (name != "codes.json"))
    total = sum((copy / name).stat().st_size for name in FAMILY - {"codes.json"})
    data = bytearray((copy / largest).read_bytes())
    data[-1] ^= 1
    (copy / largest).write_bytes(data)
    monkeypatch.setattr(codeset, "VERIFY_BYTES", total)
    with pytest.raises(CodeSetError, match="CRC-32"):
        CodeSet.open(copy / "codes.npy")
    monkeypatch.setattr(codeset, "VERIFY_BYTES", total - 1)
    opened = CodeSet.open(copy / "codes.npy")  # beyond, on demand
    with pytest.raises(CodeSetError, match=rf"{largest}: .*CRC-32"):
        opened.verify()
    with pytest.raises(CodeSetError, match="CRC-32"):
        CodeSet.open(copy / "codes.npy", verify=True)
    CodeSet.open(copy / "codes.npy", verify=False)
    (copy / "codes.paths.txt").write_bytes(b"x" * (copy / "codes.paths.txt").stat().st_size)
    with pytest.raises(CodeSetError, match=r"paths\.txt: .*CRC-32"):  # the small ones still
        CodeSet.open(copy / "codes.npy")


# --- names ---


@pytest.mark.parametrize("name", ["codes", "codes.json", ".npy", "codes.npz", ""])
def test_names_that_no_set_has(tmp_path: Path, name: str) -> None:
    with pytest.raises(CodeSetError, match=r"a name like codes\.npy"):
        CodeSet.open(tmp_path / name)


def test_a_sidecar_is_not_a_set(copy: Path) -> None:
    with pytest.raises(CodeSetError, match=r"the labels of a code set.*codes\.npy"):
        CodeSet.open(copy / "codes.labels.npy")


def test_no_set_there(tmp_path: Path) -> None:
    with pytest.raises(CodeSetError, match=r"there is no such code set; encode images"):
        CodeSet.open(tmp_path / "codes.npy")
    with pytest.raises(CodeSetError, match="no such code set"):
        CodeSet.open(tmp_path / "missing" / "codes.npy")


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="root reads everything")
def test_unreadable_files(copy: Path) -> None:
    (copy / "codes.labels.npy").chmod(0)
    with pytest.raises(
        CodeSetError, match=r"codes\.labels\.npy: cannot be read: Permission denied"
    ):
        CodeSet.open(copy / "codes.npy")
