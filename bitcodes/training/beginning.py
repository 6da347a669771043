"""What is looked at before training begins, without torch: so that nothing slow precedes errors."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bitcodes import runs
from bitcodes.callbacks import Note
from bitcodes.datasets.any_folder import Contents, contents, describe_classes, fit_to_data
from bitcodes.datasets.class_folders import prepare_folder
from bitcodes.errors import ConfigError, ModelError
from bitcodes.extensions import installed, trust
from bitcodes.files import check_folder_of, check_kind
from bitcodes.settings import Settings
from bitcodes.sources.description import TRAIN_LIST, recorded_names
from bitcodes.wording import as_utf8, shortened


def check(settings: object) -> tuple[Settings, str | None]:
    """The settings for what lies in their data folder (`fit_to_data`), and a note on them.

    A backbone that an entry point names gets its place as its name, as it is recorded. What the
    settings name may be imported. Raises ConfigError for what are no settings, DataError for a data
    folder that is no good, ModelError for a missing file of weights.
    """
    if not isinstance(settings, Settings):
        found = shortened(repr(settings), 40)
        raise ConfigError(f"expected Settings, such as Settings(data='photos'); found {found}")
    name = settings.backbone
    if name.isidentifier() and name != "auto" and (place := installed("backbone").get(name)):
        settings = settings.model_copy(update={"backbone": place})
    for named in (settings.backbone, settings.loss):
        trust(named)
    if isinstance(settings.weights, Path):
        check_kind(settings.weights, ModelError)
        if not settings.weights.is_file():
            raise ModelError(f"{settings.weights}: no such file of weights")
    return fit_to_data(settings)


@contextmanager
def run_folder(run: Path) -> Iterator[None]:
    """Have the folder of a run; an empty one goes again, with the parents that were made for it.

    Parents are made within runs/ only. Raises BitcodesError, ConfigError.
    """
    check_folder_of(run, made=str(runs.RUNS))
    if as_utf8(whole := str(run.absolute())) != whole:
        raise ConfigError(
            f"{whole}: the path of a run must be UTF-8, because TensorBoard and safetensors take "
            "no other; choose another folder with --run"
        )
    made = [path for path in (run, *run.parents) if not path.exists()]
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the run folder {run}: {error.strerror}") from None
    try:
        yield
    finally:
        for path in made:
            with suppress(OSError):  # something is in it
                path.rmdir()


def lists_of(run: Path, settings: Settings, resuming: bool, log: Note) -> Path:
    """The folder of the lists to train on: the data folder, or for class folders one in the run.

    Lists in the run are made anew unless a training goes on with them.
    """
    own = run / runs.LISTS
    if resuming and own.is_dir():
        return own
    shutil.rmtree(own, ignore_errors=True)
    if contents(settings.data) == Contents.LISTS:
        return settings.data
    prepared = prepare_folder(settings.data, own)
    for line in describe_classes(settings.data, recorded_names(own / TRAIN_LIST), own):
        log(line)
    for note in prepared.notes:
        log(note)
    return own


def remove_lists(run: Path) -> None:
    """Remove the lists of a training that has not begun: they have no config.yaml beside them."""
    if not (run / runs.CONFIG_FILE).exists():
        shutil.rmtree(run / runs.LISTS, ignore_errors=True)
