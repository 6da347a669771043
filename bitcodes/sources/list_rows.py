"""The lines of a list file as people and programs write them: a path, then labels."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from bitcodes.choices import ListLabels
from bitcodes.codes.paths import with_slashes
from bitcodes.errors import DataError
from bitcodes.images.decode import IMAGE_SUFFIXES
from bitcodes.sources.description import DATASET_FILE
from bitcodes.sources.paths import quote_path
from bitcodes.wording import counted

MAX_CLASSES = 100_000
"""More classes than this are refused: a number that large is no class."""

IMAGE_ENDS = tuple(sorted(IMAGE_SUFFIXES))
"""How names of images end, in lower case."""
_SUFFIXES = "|".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
_SUFFIX_AND_SPACE = re.compile(rf"\.(?:{_SUFFIXES})[ \t]+", re.I)
_NUMBERS = r"[0-9]{1,9}(?:\s*[,;]\s*[0-9]{1,9})*"
_WITH_COMMAS = re.compile(rf"(.*\.(?:{_SUFFIXES}))\s*[,;]\s*({_NUMBERS})", re.I)
_QUOTED = re.compile(r"""(?:"((?:[^"]|"")+)"|'([^']+)')(?:[ \t,;]([0-9,; \t]*))?""")
_HEADING = re.compile(r"\W?(?:path|file|file_?name|image|image_?(?:id|name|path)|img|name)\W", re.I)


class Layout(NamedTuple):
    """What follows the path on each line: a 0 or 1 for each of so many classes, or one's number."""

    columns: int
    is_index: bool = False


class Row(NamedTuple):
    """A line of a list."""

    line: int
    text: str  # without its end
    labels: str  # the 0s and 1s that end it, as many as there are
    marked: tuple[str, str] | None = None  # path and labels, where quotes or a comma tell them

    def path(self, layout: Layout, name: str) -> str:
        """What stands before the labels; raises DataError if these are others."""
        count = layout.columns
        if layout.is_index:
            return self._path_of_number(count, name)
        number = min(count, len(self.labels))
        if self.marked is not None:
            is_wrong = number != count or len(self.marked[1].split()) != count
            ending, path = repr(self.marked[1]), self.marked[0]
        else:
            path = self.text.rsplit(None, number)[0] if number else self.text
            wrong = _beyond_suffix(path)
            is_wrong, ending = wrong is not None or number != count, str(number)
            if wrong is not None:
                ending = repr(" ".join([wrong, *self.labels[len(self.labels) - number :]]))
        if not is_wrong:
            return with_slashes(path)
        expected = f"{counted(count, 'label')}, each" if count else "no labels, or labels that are"
        raise DataError(
            f"{name}, line {self.line}: expected {expected} 0 or 1 (one-hot or multi-hot), "
            f"after the path, as on the other lines; found {ending}: {quote_path(self.text)}"
        )

    def digits(self, layout: Layout) -> str:
        """The labels as a 0 or 1 for each class."""
        if layout.is_index:
            return _one_hot(int(self.words[-1]), layout.columns)
        return self.labels[len(self.labels) - layout.columns :]

    def number(self, any_name: bool) -> int | None:
        """The number that stands alone after an image's name, or any; None for anything else."""
        path, *rest = self.words
        if len(rest) != 1 or not (any_name or path.lower().endswith(IMAGE_ENDS)):
            return None
        return int(rest[0]) if _is_number(rest[0]) else None

    @property
    def words(self) -> list[str]:
        """The path, and the last of the labels apart; or all labels, where they are marked."""
        if self.marked is not None:
            return [self.marked[0], *self.marked[1].split()]
        return self.text.rsplit(None, 1) or [self.text]

    def _path_of_number(self, count: int, name: str) -> str:
        path, *rest = self.words
        if len(rest) == 1 and _is_number(rest[0]) and int(rest[0]) < count:
            return with_slashes(path)
        raise DataError(
            f"{name}, line {self.line}: expected a class number from 0 to {count - 1:,} after the "
            f"path, as on the other lines; found {quote_path(self.text)}"
        )


def rows(lines: Iterable[bytes], name: str) -> Iterator[Row]:
    """The lines that name an image. Empty lines, comments and a heading are left out.

    A comment begins with # and names no image right after it. Raises DataError for a line that is
    no text.
    """
    for number, raw in enumerate(lines, 1):
        if number == 1:
            if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
                raise DataError(f"{name}: expected a list in UTF-8, found UTF-16; save it as UTF-8")
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        text = raw.decode("utf-8", "surrogateescape").strip(" \t\r\n")
        if not text or (text.startswith("#") and not _names_image(text)):
            continue
        if "\0" in text:
            raise DataError(
                f"{name}, line {number}: expected text, found a zero byte: it is no list file"
            )
        if "\r" in text:
            raise DataError(
                f"{name}, line {number}: expected one path, found a carriage return within the "
                "line; save the list with line feeds as line ends"
            )
        if number == 1 and _HEADING.match(text) and not _names_image(text):
            continue
        marked = _marked(text)
        labels = _trailing_labels(text) if marked is None else _all_labels(marked[1])
        yield Row(number, text, labels, marked)


def find_layout(
    rows: Iterable[Row], name: str, class_names: tuple[str, ...], labels: ListLabels
) -> Layout:
    """What most lines have after the path; `labels` says it where the lines leave it open.

    One number per line is that of a class if any is larger than 1, or if several classes have
    names. DataError if they are all 0 or 1: they may be numbers of two classes, or say whether an
    image has the only label.
    """
    widths: Counter[int] = Counter()
    numbers: Counter[int | None] = Counter()
    has_more = False  # than one number
    for row in rows:
        widths[len(row.labels)] += 1
        if len(row.labels) == 1:
            has_more = has_more or _beyond_suffix(row.words[0]) is not None
        number = row.number(any_name=labels == "index")
        numbers[None if number is None else max(number, 1)] += 1
    if not widths:
        raise DataError(
            f"{name}: the list is empty; expected a line per image: its path, then its labels"
        )
    highest = max((number for number in numbers if number is not None), default=0)
    are_numbers = None not in numbers and (highest > 1 or len(class_names) > 1)
    if labels == "index" or (labels == "auto" and are_numbers):
        if highest >= MAX_CLASSES:
            raise DataError(
                f"{name}: expected class numbers below {MAX_CLASSES:,}, found {highest:,}"
            )
        return Layout(len(class_names) or highest + 1, is_index=True)
    count = widths.most_common(1)[0][0]
    if class_names and count not in (0, len(class_names)):
        raise DataError(
            f"{name}: expected {counted(len(class_names), 'label')} per line, for the classes that "
            f"{DATASET_FILE} beside it names, found {count}"
        )
    if count == 1 and not class_names and labels == "auto" and not has_more:
        raise DataError(
            f"{name}: expected labels that mean one thing; found one number per line, 0 or 1. If "
            "they are the numbers of two classes, use encode --labels index, or write 1 0 for "
            "class 0 and 0 1 for class 1. If they say whether an image has the only label, use "
            "encode --labels multi-hot"
        )
    return Layout(count)


def quoted(path: str) -> str:
    """A path as `rows` reads it back: in quotes if it begins like a quote or a comment."""
    if path.startswith(('"', "'", "#")) or _WITH_COMMAS.fullmatch(path):
        return '"' + path.replace('"', '""') + '"'
    return path


def _names_image(text: str) -> bool:
    """Whether a line has an image's name before its labels, with no space after a # before it."""
    name = text.rstrip("0123456789,; \t\"'").lower()
    return name.endswith(IMAGE_ENDS) and not text.startswith(("# ", "#\t"))


def _marked(text: str) -> tuple[str, str] | None:
    """Path and labels where quotes, or a comma after an image's name, tell them apart."""
    if text[0] in "\"'" and (match := _QUOTED.fullmatch(text)):
        path = match[1].replace('""', '"') if match[1] else match[2]
        labels = (match[3] or "").strip(",; \t")
        return path, " ".join(re.split(r"[,; \t]+", labels))
    if ("," in text or ";" in text) and (match := _WITH_COMMAS.fullmatch(text)):
        return match[1], " ".join(re.split(r"\s*[,;]\s*", match[2]))
    return None


def _beyond_suffix(text: str) -> str | None:
    """What follows an image's name and is neither a rest of a folder name nor another image name.

    It is a label like cat, or one label too many.
    """
    if text.lower().endswith(IMAGE_ENDS):
        return None
    start = max(text.rfind("/"), text.rfind("\\")) + 1
    match = _SUFFIX_AND_SPACE.search(text, start)
    return text[match.end() :] if match and match.end() < len(text) else None


def _all_labels(text: str) -> str:
    words = text.split()
    return "".join(words) if all(word in ("0", "1") for word in words) else ""


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= 9


@lru_cache(1024)
def _one_hot(number: int, columns: int) -> str:
    return "0" * number + "1" + "0" * (columns - number - 1)


def _trailing_labels(text: str) -> str:
    """The 0s and 1s at the end of a line, each a word of its own, without the first word."""
    start = len(text.rstrip("01 \t"))
    words = text[start:].split()
    if start == 0 or text[start : start + 1] not in (" ", "\t"):
        words = words[1:]  # the first one belongs to the path
    joined = "".join(words)
    if len(joined) == len(words):
        return joined
    last_long = max(i for i, word in enumerate(words) if len(word) > 1)
    return "".join(words[last_long + 1 :])
