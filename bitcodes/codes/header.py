"""The header of a code set, codes.json: what the codes are, and what its files must be."""

import json
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from bitcodes.codes.parts import Parts
from bitcodes.codes.paths import escape, unescape
from bitcodes.documents import check_depth
from bitcodes.errors import CodeSetError
from bitcodes.wording import shortened

FORMAT = "bitcodes/1"


class FileEntry(BaseModel):
    """What one file of a set must be: its size in bytes and the CRC-32 of its content."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    size: NonNegativeInt
    crc32: int = Field(ge=0, lt=2**32)


class CodeSetHeader(BaseModel):
    """What codes.json says; text is None where it is unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal["bitcodes/1"] = "bitcodes/1"
    bits: PositiveInt
    parts: Parts | None = None  # of the bits, if there are two
    count: NonNegativeInt = 0
    bit_order: Literal["msb"] = "msb"
    root: str | None = None  # what the paths are relative to; itself, to the folder of the set
    fingerprint: str | None = None  # of the model: SHA-256 of its weights and its preprocessing
    backbone: str | None = None
    run: str | None = None
    engine: str | None = None
    dtype: str | None = None
    decode: str | None = None
    source: str | None = None  # digest of the list of images that was encoded
    class_names: tuple[str, ...] = ()
    files: Mapping[
        Literal["codes", "paths", "labels", "features", "stat", "skipped"], FileEntry
    ] = Field(default_factory=dict)

    @field_validator("parts")
    @classmethod
    def _check_parts(cls, parts: Parts | None, info: ValidationInfo) -> Parts | None:
        if parts is not None and parts.bits != info.data.get("bits"):
            raise ValueError(f"expected parts of {info.data.get('bits')} bits together")
        return parts

    def to_bytes(self) -> bytes:
        """The content of codes.json: indented JSON, the CRC-32 of all other fields at its end.

        Text is escaped as in the paths file: a root or a class may have any name that a folder can.
        """
        fields = self.with_text(escape).model_dump(mode="json")
        if self.parts is None:
            del fields["parts"]  # then versions that do not know it read the set too
        fields["crc32"] = _checksum(fields)
        return json.dumps(fields, indent=2, ensure_ascii=False).encode() + b"\n"

    def with_text(self, change: Callable[[str], str]) -> Self:
        """The same with `change` applied to all text."""
        update: dict[str, Any] = {n: change(value) for n, value in self if isinstance(value, str)}
        update["class_names"] = tuple(map(change, self.class_names))
        return self.model_copy(update=update)


def make_header(**fields: Any) -> CodeSetHeader:
    """Build a header, or raise CodeSetError naming the field that is wrong."""
    try:
        return CodeSetHeader(**fields)
    except ValidationError as error:
        raise CodeSetError(f"code set header: {_first(error)}") from None


def parse_header(data: bytes, file: Path | str) -> CodeSetHeader:
    """Read the content of codes.json. CodeSetError, naming `file`, if a byte of it was altered."""
    try:
        fields = json.loads(data, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise CodeSetError.damaged(file, f"expected a JSON header, found {error}") from None
    check_depth(fields, Path(file), CodeSetError)
    version = fields.get("format") if isinstance(fields, dict) else None
    if version != FORMAT:
        raise CodeSetError(
            f'{file}: expected "format": "{FORMAT}", found {_shown(version)}; use the version of '
            "bitcodes that wrote it, or rename it if it does not belong to the codes beside it"
        )
    checksum = fields.pop("crc32", None)
    if checksum != (actual := _checksum(fields)):
        raise CodeSetError.damaged(
            file, f"expected fields with the CRC-32 {_shown(checksum)}, found {actual}"
        )
    if fields.get("bit_order") != "msb":
        raise CodeSetError(
            f'{file}: expected "bit_order": "msb", found {_shown(fields.get("bit_order"))}; '
            "reorder the codes with np.packbits(np.unpackbits(codes, axis=1, bitorder='little'), "
            "axis=1)"
        )
    try:
        header = CodeSetHeader.model_validate_json(json.dumps(fields))
        header = header.with_text(lambda text: unescape(text.encode()))
    except ValueError as error:
        reason = _first(error) if isinstance(error, ValidationError) else error
        raise CodeSetError.damaged(file, reason) from None
    return header


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The fields of a JSON object; ValueError if two have one name."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field that is there twice")
    return fields


def _checksum(fields: Mapping[str, Any]) -> int:
    """CRC-32 of the canonical JSON: sorted keys, no spaces, UTF-8."""
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return zlib.crc32(text.encode("utf-8", "surrogatepass"))


def _first(error: ValidationError) -> str:
    detail = error.errors()[0]
    place = ".".join(str(part) for part in detail["loc"]) or "header"
    return f"{place}: {detail['msg']}, found {_shown(detail['input'])}"


def _shown(value: object) -> str:
    return shortened(repr(value))
