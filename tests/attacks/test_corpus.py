"""Every hostile file, given to the readers that may meet it: one error or the right answer."""

import tempfile
from pathlib import Path

import pytest
from attacks.code_sets import ChangedSet, odd_sets
from attacks.corpus import cases_of, reading, write_corpus
from attacks.lists import ARGUMENTS
from attacks.pickles import MARK
from attacks.readers import READERS, codes
from attacks.watch import Check, findings

from bitcodes.errors import BitcodesError

SECONDS, MEMORY = 10.0, 400 << 20


def tree(folder: Path) -> dict[str, int]:
    """Every file below a folder, and its size."""
    return {
        str(path.relative_to(folder)): path.lstat().st_size
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    }


def test_every_file_is_one_error_or_the_right_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("here", "files", "room"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    files = write_corpus(tmp_path / "files")
    assert len(files) > 700
    assert {attack.role for _, attack in files} <= set(READERS)
    before = tree(tmp_path)
    problems = [
        f"{Path(finding.case[0]).name} as {finding.case[1]}: {finding.problem}"  # type: ignore[index]
        for finding in findings(
            reading, (str(tmp_path / "room"),), cases_of(files), SECONDS, MEMORY
        )
        if finding is not None
    ]
    assert not problems, "\n".join(problems)
    after = tree(tmp_path)
    outside = {name for name in set(after) ^ set(before) if not name.startswith("room")}
    assert not outside
    assert not any(Path(name).name.startswith(MARK) for name in after)
    assert not Path("/tmp/it_ran.png").exists()


def changing(folder: str) -> Check:
    """The check of a set after one of odd_sets was done to it."""
    changes = odd_sets()
    one = ChangedSet(Path(tempfile.mkdtemp(dir=folder)))

    def check(case: str) -> None:
        changes[case](one.folder)
        one.read(codes)

    return check


def test_every_changed_set_is_one_error_or_the_right_answer(tmp_path: Path) -> None:
    problems = [
        f"{finding.case}: {finding.problem}"
        for finding in findings(changing, (str(tmp_path),), odd_sets(), SECONDS, MEMORY)
        if finding is not None
    ]
    assert not problems, "\n".join(problems)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("argument", ARGUMENTS, ids=lambda text: ascii(text[:12]))
def test_names_that_are_too_much_are_one_error(argument: str, tmp_path: Path) -> None:
    from bitcodes.sources.source import open_stream

    with pytest.raises(BitcodesError) as caught:
        open_stream([argument], folder=tmp_path)
    assert len(str(caught.value)) < 2000
