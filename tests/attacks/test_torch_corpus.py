"""Every hostile file for PyTorch, read as weights, as a model file and as a checkpoint."""

from pathlib import Path

import pytest
from attacks import models, torch_files
from attacks.corpus import Case, reading, write_corpus
from attacks.pickles import MARK
from attacks.watch import findings


def test_every_file_for_torch_is_one_error_or_the_right_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("here", "files", "room"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    attacks = torch_files.attacks()
    for name, attack in models.attacks().items():
        if attack.role == "safetensors":
            for role in ("torch safetensors", "model file"):
                attacks[f"{role}: {name}"] = attack._replace(role=role, said="")
    cases: list[Case] = [
        (str(file), attack.role, attack.said, True)
        for file, attack in write_corpus(tmp_path / "files", attacks)
    ]
    room = str(tmp_path / "room")
    problems = [
        f"{finding.case}: {finding.problem}"
        for finding in findings(reading, (room, True), cases, 10, 400 << 20)
        if finding is not None
    ]
    assert not problems, "\n".join(problems)
    assert not list((tmp_path / "here").iterdir())
    assert not list(tmp_path.rglob(f"{MARK}*"))
