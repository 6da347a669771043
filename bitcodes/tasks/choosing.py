"""Which model encodes, and what to say of it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bitcodes.builtin import BUILT_IN, built_in_bits
from bitcodes.codes.codeset import CodeSet
from bitcodes.errors import CodeSetError
from bitcodes.runs import EXPORT_FILE, LATEST, MODEL_FILE, RUNS, choose_model, follow
from bitcodes.wording import command, from_here, quoted

if TYPE_CHECKING:  # a search of codes needs no Pillow
    from bitcodes.models.encoder import Encoder


def own_model(code_set: CodeSet) -> Path | str | None:
    """The model that a set names: a run or a file that is still there, or a name; else None."""
    recorded = code_set.header.run
    if recorded is None or built_in_bits(recorded) is not None:
        return recorded
    if code_set.path is None and code_set.url is None:
        return None
    folder = Path() if code_set.path is None else code_set.path.parent
    return run if (run := folder / recorded).exists() else None


def run_of(model: "Encoder") -> Path | str | None:
    """The run of a model, its file if that lies elsewhere, or a name; None if it is in memory."""
    file = model.path
    if isinstance(file, Path) and file.name in (MODEL_FILE, EXPORT_FILE):
        return file.parent if file.with_name(MODEL_FILE).is_file() else file
    return file


def in_words(model: Path | str, bits: int, own_set: Path | None) -> str:
    """The line that names the model; `own_set` is the set that it was chosen for, if it made it."""
    is_built_in = built_in_bits(model) is not None
    line = f"model: {BUILT_IN if is_built_in else from_here(Path(model))}, {bits} bits"
    newest = choose_model(None)
    if own_set is not None and isinstance(newest, Path) and not _is_same(model, newest):
        return (
            f"{line}, because it made {own_set}; the newest run makes another set: "
            f"--run {RUNS / LATEST} -o OTHER.npy"
        )
    if is_built_in and own_set is None:
        line += "; with labels, `bitcodes finetune --data FOLDER` may make a better one"
    return line


def ways_out(code_set: CodeSet, model: Path | str | None) -> str:
    """What to do if a set cannot be brought up to date with `model`, in a sentence or two."""
    own = own_model(code_set)
    if own is None or _is_same(own, model):
        return "Write to another file with -o OTHER.npy, or replace it with --force"
    return (
        "Write to another file with -o OTHER.npy, or go on with the model that made it: "
        f"--run {quoted(own)}. --force replaces it"
    )


def _is_same(one: Path | str | None, other: Path | str | None) -> bool:
    """Whether two names are of one model."""
    if built_in_bits(one) is not None or built_in_bits(other) is not None:
        return built_in_bits(one) == built_in_bits(other)
    if one is None or other is None:
        return one is other
    return os.path.realpath(one) == os.path.realpath(other)


def recorded_run(database: CodeSet) -> Path | str:
    """The model that the header names, if it is still there, else the newest run."""
    if (own := own_model(database)) is not None:
        return own
    recorded = database.header.run
    reason = "does not say which model made it"
    if recorded is not None:
        if (latest := follow(RUNS / LATEST)).exists():
            return latest  # it may be the same model in another place: the fingerprint will tell
        reason = f"was made with {recorded}, which is not there"
    raise CodeSetError(
        f"{database.name} {reason}; name the run or the model file with --run, or encode the "
        "images again, by the newest run or the built-in model: "
        f"{command('encode', '--force', '-o', database.name)}"
    )
