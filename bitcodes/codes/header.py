"""The header of a code set, codes.json: what the codes are, and what its files must be."""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError

from bitcodes.codes.paths import escape, unescape
from bitcodes.errors import CodeSetError

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
    count: NonNegativeInt = 0
    bit_order: Literal["msb"] = "msb"
    root: str | None = None  # what the paths are relative to; itself, to the folder of the set
    class_names: tuple[str, ...] = ()
    fingerprint: str | None = None  # of the model: SHA-256 of its weights and its preprocessing
    backbone: str | None = None
    run: str | None = None
    engine: str | None = None
    dtype: str | None = None
    decode: str | None = None
    source: str | None = None  # digest of the list of images that was encoded
    files: Mapping[
        Literal["codes", "paths", "labels", "features", "stat", "skipped"], FileEntry
    ] = Field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """The content of codes.json: indented JSON, the CRC-32 of all other fields at its end.

        Text is escaped as in the paths file: a root or a class may have any name that a folder can.
        """
        fields = self.model_dump(mode="json", exclude={"class_names"})
        fields = {name: escape(v) if isinstance(v, str) else v for name, v in fields.items()}
        fields["class_names"] = [escape(name) for name in self.class_names]
        fields["files"] = fields.pop("files")  # the long lists last
        fields["crc32"] = _checksum(fields)
        return json.dumps(fields, indent=2, ensure_ascii=False).encode() + b"\n"


def make_header(**fields: Any) -> CodeSetHeader:
    """Build a header, or raise CodeSetError naming the field that is wrong."""
    try:
        return CodeSetHeader(**fields)
    except ValidationError as error:
        raise CodeSetError(f"code set header: {_first(error)}") from None


def parse_header(data: bytes, file: Path) -> CodeSetHeader:
    """Read the content of codes.json. CodeSetError, naming `file`, if a byte of it was altered."""
    damaged = "the file was changed or cut off; copy or encode the set again"
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CodeSetError(f"{file}: expected a JSON header, found {error}; {damaged}") from None
    version = fields.get("format") if isinstance(fields, dict) else None
    if version is None:
        raise CodeSetError(
            f'{file}: expected the header of a code set with "format": "{FORMAT}", found other '
            "JSON; rename that file, or the codes beside it, if they do not belong together"
        )
    checksum = fields.pop("crc32", None)
    if version != FORMAT:
        raise CodeSetError(
            f'{file}: expected "format": "{FORMAT}", found {version!r}; '
            "use the version of bitcodes that wrote it, or encode the set again"
        )
    if checksum != (actual := _checksum(fields)):
        raise CodeSetError(
            f"{file}: expected fields with the CRC-32 {checksum}, found {actual}; {damaged}"
        )
    if fields.get("bit_order") != "msb":
        raise CodeSetError(
            f'{file}: expected "bit_order": "msb", found {fields.get("bit_order")!r}; reorder the '
            "codes with np.packbits(np.unpackbits(codes, axis=1, bitorder='little'), axis=1)"
        )
    try:
        header = CodeSetHeader.model_validate(_unescaped(fields))
    except (ValidationError, ValueError) as error:
        reason = _first(error) if isinstance(error, ValidationError) else str(error)
        raise CodeSetError(f"{file}: {reason}; {damaged}") from None
    if "codes" not in header.files or "paths" not in header.files:
        raise CodeSetError(f"{file}: files: expected codes and paths among them; {damaged}")
    # The same fields written in another way (a space, a key twice) are no longer these bytes.
    if header.to_bytes() != data:
        raise CodeSetError(f"{file}: expected the header as bitcodes writes it; {damaged}")
    return header


def _unescaped(fields: dict[str, Any]) -> dict[str, Any]:
    plain = {n: unescape(v.encode()) if isinstance(v, str) else v for n, v in fields.items()}
    names = plain.get("class_names")
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        plain["class_names"] = tuple(unescape(name.encode()) for name in names)
    return plain


def _checksum(fields: Mapping[str, Any]) -> int:
    """CRC-32 of the canonical JSON: sorted keys, no spaces, UTF-8."""
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return zlib.crc32(text.encode("utf-8", "surrogatepass"))


def _first(error: ValidationError) -> str:
    detail = error.errors()[0]
    place = ".".join(str(part) for part in detail["loc"]) or "header"
    return f"{place}: {detail['msg']}, found {detail['input']!r}"
