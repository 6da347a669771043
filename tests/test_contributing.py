"""The examples of CONTRIBUTING.md, applied to a copy of the package."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DIFFS = re.findall(
    r"^```diff\n(.*?)^```$", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.M | re.S
)
TRAIN = """
import sys
from pathlib import Path
from small import make_dataset, make_settings
from bitcodes.training import finetune
values = eval(sys.argv[1])
done = finetune(make_settings(make_dataset(Path("colours")), epochs=1, **values), Path("run"))
print(done.history[-1]["loss"], *done.settings.differences(make_settings(Path("colours"))))
"""


def python(*arguments: str, package: Path, folder: Path) -> str:
    """What Python prints with this copy of the package."""
    path = os.pathsep.join([str(package), str(ROOT / "tests")])
    environment = os.environ | {"PYTHONPATH": path, "COLUMNS": "200", "PYTHONUTF8": "1"}
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", cwd=folder, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with a copy of the package."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "bitcodes", tmp_path / "copy" / "bitcodes", ignore=ignored)
    return tmp_path / "copy"


@pytest.mark.skipif(shutil.which("git") is None, reason="git applies the diffs")
@pytest.mark.parametrize(
    ("diff", "option", "values", "files"),
    [
        (DIFFS[0], "contrastive", {"loss": "contrastive"}, 2),
        (DIFFS[1], "--clip", {"clip": 0.5}, 2),
    ],
    ids=["a loss", "a setting"],
)
def test_the_diffs_of_a_new_loss_and_a_new_setting(
    copy: Path, tmp_path: Path, diff: str, option: str, values: dict[str, object], files: int
) -> None:
    assert len(re.findall(r"^\+\+\+ ", diff, re.M)) == files
    subprocess.run(["git", "apply", "-"], input=diff, encoding="utf-8", cwd=copy, check=True)
    shown = python("-m", "bitcodes", "finetune", "--help", package=copy, folder=tmp_path)
    assert option in shown
    loss, *changed = python("-c", TRAIN, repr(values), package=copy, folder=tmp_path).split()
    assert 0 < float(loss) < 10
    assert set(values) <= set(changed)
    saved = (tmp_path / "run" / "config.yaml").read_text(encoding="utf-8")
    for name, value in values.items():
        assert f"{name}: {value}\n" in saved
