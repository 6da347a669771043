"""Encode what the command line names: open the sources, choose the model, write the code set."""

from collections.abc import Sequence
from pathlib import Path
from typing import IO

from bitcodes.callbacks import Note, Progress
from bitcodes.choices import DType, Engine
from bitcodes.codes.codeset import recorded_header
from bitcodes.models.encoding import BATCH_SIZE
from bitcodes.models.engines import load_encoder
from bitcodes.sources.source import open_stream
from bitcodes.tasks.encode import encode
from bitcodes.tasks.results import Encoded


def encode_sources(
    images: Sequence[str],
    out: Path,
    *,
    run: Path | None = None,
    root: Path | None = None,
    part: tuple[int, int] | None = None,
    engine: Engine = "auto",
    dtype: DType = "auto",
    full_decode: bool = False,
    features: bool = False,
    append: bool = False,
    strict: bool = False,
    force: bool = False,
    ray: str | None = None,
    device: str = "auto",
    batch_size: int = BATCH_SIZE,
    workers: int | None = None,
    stdin: IO[bytes] | None = None,
    progress: Progress | None = None,
    log: Note | None = None,
) -> Encoded:
    """Encode the images that `images` name into the code set `out`.

    "-" stands for paths on `stdin`. `part` (I, N) encodes the I-th of N equal parts. The model is
    that of `run`, a run or model file (default: the newest run). An engine or dtype of "auto" is
    that of the code set if there is one, else what suits the number of images. `ray` is the address
    of a Ray cluster; "local" starts one on this machine. The rest is as in `encode`.
    """
    source = open_stream(images, root, stdin)
    if part is not None:
        source = source.part(*part)
    like = None if force else recorded_header(out)
    model = load_encoder(run, device, engine, dtype, source.count, like, log)
    code_set = encode(
        model,
        source,
        out,
        features=features,
        decode="full" if full_decode else None,
        append=append,
        batch_size=batch_size,
        workers=workers,
        ray="" if ray == "local" else ray,
        strict=strict,
        force=force,
        progress=progress,
        log=log,
    )
    return Encoded(code_set, out)
