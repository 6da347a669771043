"""What a path names, and the command that takes it: for those who gave it to another one."""

import os
from pathlib import Path
from typing import NamedTuple

from bitcodes.runs import follow, is_run
from bitcodes.sources.paths import is_remote
from bitcodes.wording import command

_MODELS = (".safetensors", ".onnx")


class Advice(NamedTuple):
    """What something is, such as "a folder", and the words of a command that takes it."""

    kind: str
    words: tuple[str, ...]
    is_described: bool = False
    """Whether `info` takes it."""

    def then(self, *more: str) -> str:
        """What to do, in words: the command, with `more` words at its end."""
        it = {"search": "for it", "encode": "it", "info": "it"}[self.words[0]]
        verb = {"info": "describe"}.get(self.words[0], self.words[0])
        if "--codes" in self.words:
            it = "in it"
        return f"to {verb} {it}: {command(*self.words, *more)}"


def command_for(name: str) -> Advice | None:
    """What `name` is, by its name and what is there, and what to do with it; None if unknown."""
    if name == "-":
        return None
    if is_remote(name):
        return Advice("a URL", ("encode", name))
    if not os.path.lexists(name):
        return None
    path = follow(Path(name))
    suffix = path.suffix.lower()
    if path.is_dir():
        if is_run(path):
            return Advice("a run", ("info", name), is_described=True)
        return Advice("a folder", ("encode", name))
    if suffix == ".npy":
        return Advice("a code set", ("search", "PHOTO", "--codes", name), is_described=True)
    if suffix in _MODELS:
        return Advice("a model file", ("info", name), is_described=True)
    from bitcodes.images.formats import IMAGE_SUFFIXES  # which loads Pillow
    from bitcodes.sources.archives import is_archive
    from bitcodes.sources.source import LIST_SUFFIXES

    if is_archive(path.name):
        return Advice("an archive", ("encode", name))
    if suffix in IMAGE_SUFFIXES:
        return Advice("an image", ("search", name))
    if suffix in LIST_SUFFIXES:
        return Advice("a list file", ("encode", name))
    return None
