"""Code sets whose codes have two parts."""

import json
from pathlib import Path

import numpy as np
import pytest

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.merge import merge
from bitcodes.codes.parts import Parts
from bitcodes.codes.writer import CodeSetWriter, save_code_set
from bitcodes.errors import CodeSetError

PARTS = Parts(class_bits=4, instance_bits=8, class_weight=4)
CODES = np.array([[0xA0, 0xF0], [0x5F, 0x00]], np.uint8)


def save(file: Path, parts: Parts | None) -> CodeSet:
    return save_code_set(CodeSet.from_arrays(CODES, 12, ["a.png", "b.png"], parts=parts), file)


def test_the_header_says_what_the_parts_are(tmp_path: Path) -> None:
    made = save(tmp_path / "codes.npy", PARTS)
    assert made.parts == CodeSet.open(tmp_path / "codes.npy", verify=True).parts == PARTS
    header = json.loads((tmp_path / "codes.json").read_text())
    assert header["bits"] == 12
    assert header["parts"] == {"class_bits": 4, "instance_bits": 8, "class_weight": 4}


def test_sets_of_one_part_have_no_such_field(tmp_path: Path) -> None:
    assert save(tmp_path / "codes.npy", None).parts is None
    assert "parts" not in json.loads((tmp_path / "codes.json").read_text())


def test_parts_go_with_merged_sets(tmp_path: Path) -> None:
    sets = [save(tmp_path / f"{name}.npy", PARTS) for name in "ab"]
    assert merge(sets, tmp_path / "merged.npy").parts == PARTS
    heavier = PARTS.model_copy(update={"class_weight": 8})
    for number, other in enumerate((None, heavier)):
        with pytest.raises(CodeSetError, match="expected parts 4 class \\+ 8 instance bits"):
            merge([sets[0], save(tmp_path / f"{number}.npy", other)], tmp_path / "bad.npy")


def test_parts_must_make_up_the_bits() -> None:
    with pytest.raises(CodeSetError, match=r"parts: .*expected parts of 16 bits together"):
        CodeSet.from_arrays(CODES, 16, parts=PARTS)


def test_a_writer_does_not_go_on_with_codes_of_other_parts(tmp_path: Path) -> None:
    def writer(parts: Parts | None) -> CodeSetWriter:
        return CodeSetWriter(tmp_path / "codes.npy", bits=12, parts=parts)

    with writer(PARTS) as unfinished:
        unfinished.append(CODES, ["a.png", "b.png"])
    with writer(PARTS) as same:
        assert same.done == 2
    with writer(None) as other:
        assert (other.done, other.dropped) == (0, 2)
