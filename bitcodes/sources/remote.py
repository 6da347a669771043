"""Images far away, through fsspec: s3://, https:// and whatever else it has a driver for."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import IO, Any, NamedTuple

from bitcodes.errors import BitcodesError, DataError, ImageError
from bitcodes.images.decode import IMAGE_SUFFIXES
from bitcodes.sources.archives import stream_images
from bitcodes.sources.extent import MAX_BYTES, TOO_LARGE
from bitcodes.sources.item import GONE, Decode, Item, Result, Stat
from bitcodes.sources.system_names import is_system_name


class Remote(NamedTuple):
    """A file that fsspec reads; `known` is its stat as its folder lists it."""

    url: str
    known: Stat

    def stat(self) -> Stat:
        return self.known

    def read(self, decode: Decode[Result]) -> tuple[Result, Stat]:
        try:
            system, path = _system(self.url)
        except DataError as error:
            raise ImageError(str(error)) from None
        if self.known[0] > MAX_BYTES:
            raise ImageError(TOO_LARGE)
        data: bytes
        with _errors(ImageError, "it cannot be fetched"):
            if self.known[0] >= 0:
                data = system.cat_file(path)
            else:
                with system.open(path, "rb") as file:
                    data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ImageError(TOO_LARGE)
        return decode(data), self.known

    def memory(self) -> int:
        return 2 * max(0, self.known[0])


def remote_files(url: str) -> Iterator[Item]:
    """The images below a folder, such as s3://bucket/photos/, in sorted order, a folder at a time.

    Paths are relative to the folder. DataError where it cannot be listed.
    """
    system, folder = _system(url)
    scheme = url.split("://")[0]
    waiting = [folder.rstrip("/")]
    while waiting:
        current = waiting.pop()
        with _errors(DataError, f"{url} cannot be listed"):
            entries = system.ls(current, detail=True)
        folders = []
        for entry in sorted(entries, key=lambda entry: str(entry["name"])):
            name = str(entry["name"]).rstrip("/")
            if name == current or is_system_name(*reversed(name.split("/")[-2:])):
                continue
            if entry["type"] == "directory":
                folders.append(name)
            elif ("." + name.rsplit(".", 1)[-1].lower()) in IMAGE_SUFFIXES:
                path = name.removeprefix(folder.rstrip("/")).lstrip("/")
                yield Item(path, Remote(f"{scheme}://{name}", _stat(entry)))
        waiting += reversed(folders)


def remote_archive(url: str) -> Iterator[Item]:
    """The images in an archive far away, as they arrive."""
    system, path = _system(url)
    with _errors(DataError, f"{url} cannot be read"):
        opened: IO[bytes] = system.open(path, "rb")
    with opened as file:
        yield from stream_images(file, url)


def remote_stat(url: str) -> Stat:
    """Size and modification time, -1 where the driver does not tell; DataError if it is gone."""
    return _stat(_info(url))


def remote_version(url: str) -> str:
    """What tells whether a file has changed: size, time, and the tag that servers give."""
    info = _info(url)
    return f"{_stat(info)} {info.get('ETag')}"


def _info(url: str) -> Any:
    system, path = _system(url)
    with _errors(DataError, f"{url} cannot be read"):
        return system.info(path)


@contextmanager
def _errors(kind: type[BitcodesError], text: str) -> Iterator[None]:
    """Turn the errors of drivers, each of which has its own, into one kind, said in one line."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise kind(f"{text}: {reason}") from None


def _system(url: str) -> tuple[Any, str]:
    try:
        import fsspec
    except ImportError:
        raise DataError(f"{url}: reading URLs needs pip install 'bitcodes[remote]'") from None
    try:
        system, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise DataError(f"{url}: {error} (pip install 'bitcodes[remote]')") from None
    except ValueError as error:
        raise DataError(f"{url}: {error}") from None
    return system, str(path)


def _stat(info: Any) -> Stat:
    size = info.get("size")
    changed = info.get("LastModified") or info.get("mtime") or info.get("created")
    if isinstance(changed, datetime):
        changed = changed.timestamp()
    if size is None:
        return GONE
    return int(size), -1 if not isinstance(changed, int | float) else int(changed * 10**9)
