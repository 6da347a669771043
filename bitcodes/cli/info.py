"""`bitcodes info`: what a code set or a run holds."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bitcodes.cli.options import JsonOption


def info(
    what: Annotated[
        Path, typer.Argument(metavar="CODES|RUN", help="A code set, a run or a model file.")
    ] = Path("codes.npy"),
    json: JsonOption = False,
) -> None:
    """Say what a code set, a run or a model file holds; of a code set, verify the checksums.

    ```
    bitcodes info codes.npy
    ```
    """
    from bitcodes.cli.console import out as console
    from bitcodes.cli.console import print_json

    facts = _code_set(what) if what.name.endswith(".npy") else _model(what)
    if json:
        print_json(facts)
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        console.print(f"{name.replace('_', ' '):{width}}  {_shown(value)}", markup=False)


def _code_set(path: Path) -> dict[str, Any]:
    from bitcodes.codes.codeset import CodeSet

    code_set = CodeSet.open(path, verify=False)
    code_set.verify()
    header = code_set.header
    sidecars = {
        name: "x".join(map(str, array.shape[1:])) or "1"
        for name in ("labels", "features", "stat")
        if (array := getattr(code_set, name)) is not None
    }
    return {
        "codes": str(path),
        "count": code_set.count,
        "bits": code_set.bits,
        "root": code_set.root_name,
        "model": header.fingerprint,
        "run": None if code_set.run is None else str(code_set.run),
        "backbone": header.backbone,
        "engine": header.engine,
        "dtype": header.dtype,
        "decode": header.decode,
        "class_names": list(header.class_names),
        "columns": sidecars,
        "skipped": len(code_set.skipped),
        "bytes": sum(entry.size for entry in header.files.values()) or code_set.codes.nbytes,
        "checksums": "none (a bare file)" if code_set.is_bare else "good",
    }


def _model(path: Path) -> dict[str, Any]:
    from bitcodes.models.modelfile import ONNX, find_model, read_info
    from bitcodes.models.onnx import OnnxModel

    file = find_model(path)
    if file.suffix == ONNX:
        model = OnnxModel(file, threads=1)
        names, bits, backbone = model.class_names, model.bits, model.backbone_name
        preprocessing, fingerprint = model.preprocessing, model.fingerprint()
    else:
        described = read_info(file)
        names, bits, backbone = described.class_names, described.bits, described.backbone
        preprocessing, fingerprint = described.preprocessing, described.fingerprint
    return {
        "model": str(file),
        "fingerprint": fingerprint or None,
        "backbone": backbone,
        "bits": bits,
        "class_names": list(names),
        "preprocessing": preprocessing.model_dump(mode="json"),
        "exported": file.suffix == ONNX or file.with_suffix(ONNX).is_file(),
        "bytes": file.stat().st_size,
    }


def _shown(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        return ", ".join(value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {item}" for name, item in value.items()) or "none"
    return str(value)
