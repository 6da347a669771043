"""Small files of text that others wrote."""

import os
from pathlib import Path

import pytest

from bitcodes.documents import read_bytes, read_json, read_yaml
from bitcodes.errors import ConfigError

BOMB = "a0: &a0 [x, x]\n" + "".join(
    f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}, *a{n - 1}]\n" for n in range(1, 40)
)


def write(folder: Path, text: str) -> Path:
    file = folder / "file"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    return file


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "[" * 60 + "]" * 60, '{"a":' * 2000, "{", "\udcff", "nul", "", "1 2"]
)
def test_json_that_is_refused(tmp_path: Path, text: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(
        ConfigError, match=r"file: (is not valid JSON|expected at most|cannot be read as text)"
    ):
        read_json(file, ConfigError)


@pytest.mark.parametrize(
    "text",
    [BOMB, "a: &a [*a]", "[" * 10_000, "- " * 500 + "x", "a: b: c", "\udcff", "a: !!python/x 1"],
    ids=["aliases", "a circle", "deep", "deep lists", "broken", "no text", "a tag"],
)
def test_yaml_that_is_refused(tmp_path: Path, text: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(
        ConfigError, match=r"file: (is not valid YAML|expected at most|cannot be read as text)"
    ):
        read_yaml(file, ConfigError)


def test_values(tmp_path: Path) -> None:
    assert read_json(write(tmp_path, '\ufeff{"a": [1, 2.5, null]}'), ConfigError) == {
        "a": [1, 2.5, None]
    }
    text = "bits: 016\nrate: 1e-3\ntime: 1:30\nhex: 0x10\nn: 1_000\nf: -.5\nlist: [3, off]\ns: 1e\n"
    assert read_yaml(write(tmp_path, text), ConfigError) == {
        **{"bits": "016", "rate": 0.001, "time": "1:30", "hex": "0x10", "n": 1000, "f": -0.5},
        **{"list": [3, False], "s": "1e"},
    }


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"it is a (folder|named pipe), not a file"):
        read_bytes(tmp_path, ConfigError)
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "missing", ConfigError)
    with pytest.raises(ConfigError, match="at most 3 bytes"):
        read_bytes(write(tmp_path, "four"), ConfigError, most=3)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.timeout(10)
def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for read in (read_bytes, read_json, read_yaml):
        with pytest.raises(ConfigError, match=r"it is a (folder|named pipe), not a file"):
            read(tmp_path / "pipe", ConfigError)
