"""`bitcodes encode`: images to a code set."""

import sys
from pathlib import Path

import typer

from bitcodes.choices import BuiltInBits, DType, Engine, ListLabels
from bitcodes.cli.log import LogFormatOption
from bitcodes.cli.options import (
    BatchSizeOption,
    DeviceOption,
    JsonOption,
    WorkersOption,
    argument,
    flag,
    option,
    output,
)


def encode(
    images: list[str] | None = argument(
        "IMAGES",
        "Image files; folders, with all folders in them; list files (.txt); archives (.zip, .tar, "
        "also compressed, or many as shards-{0000..0099}.tar); URLs of these (s3://, https://); - "
        "for paths on standard input. Default: what the code set was made from.",
        default=None,
    ),
    out: Path | None = option(
        "Code set to write, a .npy file. Default: codes.npy in the working folder; with --part, "
        "codes.part-I-of-N.npy there; without IMAGES, the nearest codes.npy, there or in a folder "
        "above.",
        "--output",
        "-o",
        callback=output,
    ),
    run: str | None = option(
        "Run (a folder that finetune wrote), model file, or built-in. Default: the model that made "
        "the code set; for a new code set the newest run, runs/latest, or built-in if there is "
        "none."
    ),
    bits: BuiltInBits | None = option(
        "Length of the built-in model's codes. Default: 128.",
    ),
    features: bool = flag("--features", "Store the features too. search --rerank needs them."),
    root: Path | None = option(
        "Folder that the relative paths in lists start from. Default: the folder of the list; for "
        "standard input, the working folder."
    ),
    all_files: bool = flag(
        "--all-files",
        "In folders, take hidden files, system folders (@eaDir, __MACOSX, trash, thumbnails) and "
        "images without a suffix such as .jpg too. Default: leave them out, and say so.",
    ),
    labels: ListLabels = option(
        "What the numbers in a list file are. index: the number of the image's class. multi-hot: a "
        "0 or 1 for each class. auto: index if there is one number per line, and one is above 1; "
        "else multi-hot.",
        default="auto",
    ),
    strict: bool = flag("--strict", "Stop at an image that cannot be read. Default: skip it."),
    append: bool = flag(
        "--append",
        "Add the new images of IMAGES, and keep all images that the code set has already.",
    ),
    part: str | None = option(
        "Encode the I-th of N equal parts of IMAGES. bitcodes merge joins the parts.",
        metavar="I/N",
    ),
    engine: Engine = option(
        "What runs the model. onnx is ONNX Runtime, which is faster on a CPU. auto takes the "
        "engine of an existing code set. For a new one, it takes onnx on a CPU and torch on a GPU.",
        default="auto",
    ),
    dtype: DType = option(
        "Numbers that the model computes with. bfloat16 needs torch. auto takes those of an "
        "existing code set; else float32.",
        default="auto",
    ),
    full_decode: bool = flag(
        "--full-decode",
        "Decode JPEG files at full size. Default: at a smaller size if the model sees far less, "
        "which is faster.",
    ),
    exact: bool = flag(
        "--exact", "The same as --engine torch --dtype float32 --full-decode together."
    ),
    ray: str | None = option(
        "Encode on the Ray cluster at this address: host:port, or auto for that of this machine. "
        "local starts one here. All machines must share the folders of IMAGES and of the code set.",
        metavar="ADDRESS",
    ),
    device: DeviceOption = "auto",
    batch_size: BatchSizeOption = 32,
    workers: WorkersOption = None,
    force: bool = flag(
        "--force",
        "Replace a code set of another model or of other encoding options. Without IMAGES: take "
        "out what was encoded from folders, lists and archives that are not there.",
    ),
    json: JsonOption = False,
    log_format: LogFormatOption = "text",
    changes: Path | None = option(
        "Write a JSON line for each row that is new, changed or gone, with its path and code: for "
        "systems that follow the code set.",
        metavar="FILE",
        callback=output,
    ),
) -> None:
    """Encode images: write a code set with their codes, paths and labels.

    ```
    bitcodes encode photos/
    bitcodes encode photos/ videos.tar -o all.npy
    bitcodes encode
    ```

    Images that cannot be read are skipped; codes.skipped.txt lists them with the reason. If the
    command is interrupted, run it again: it continues where it stopped.

    An existing code set is updated with the model that made it: new and changed images are encoded,
    missing ones are removed. The encoding options must be those of before. To replace it by codes
    of another model, use --force. Without IMAGES, the code set is updated from all that it was made
    from. What was added with --append stays if IMAGES do not name it.
    """
    from bitcodes.cli.code_sets import CODES, codes_option, find_codes, note_set_above
    from bitcodes.cli.console import note, progress
    from bitcodes.cli.next_step import next_command
    from bitcodes.cli.show import show
    from bitcodes.tasks.encoding.changes import check_changes_file
    from bitcodes.tasks.encoding.sources import encode_sources

    if not images:
        for name, value in (
            *(("--root", root), ("--part", part)),
            *(("--append", append), ("--all-files", all_files)),
        ):
            if value:
                raise typer.BadParameter("it needs IMAGES", param_hint=name)
    numbers = None if part is None else _part(part)
    if out is None and images:
        out = CODES if numbers is None else CODES.with_name(_part_name(CODES.stem, *numbers))
        if not append:
            note_set_above(images, out)
    elif out is None:
        out = find_codes(None)
    if changes is not None:
        check_changes_file(changes)
    if exact:
        engine, dtype, full_decode = "torch", "float32", True
    try:
        with progress("encoding") as report:
            result = encode_sources(
                images or (),
                out,
                run=run,
                bits=bits,
                root=root,
                all_files=all_files,
                labels=labels,
                part=numbers,
                engine=engine,
                dtype=dtype,
                full_decode=full_decode,
                features=features,
                append=append,
                strict=strict,
                force=force,
                ray=ray,
                device=device,
                batch_size=batch_size,
                workers=workers,
                stdin=sys.stdin.buffer if "-" in (images or ()) else None,
                progress=report,
                log=note,
                compare=json or changes is not None,
            )
    except KeyboardInterrupt:
        note("interrupted; the same command continues where it stopped")
        raise
    if changes is not None and result.changes is not None:
        result.changes.write(changes)
    show(result, json=json)
    if json:
        return
    if part is None:
        next_command("search", "PHOTO", *codes_option(out))
    else:
        next_command("merge", "PARTS", "-o", CODES)


def _part_name(stem: str, number: int, count: int) -> str:
    """The file of a part by default: so named that all parts sort in their order."""
    return f"{stem}.part-{number:0{len(str(count))}}-of-{count}.npy"


def _part(text: str) -> tuple[int, int]:
    """From 2/8 to (2, 8)."""
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise typer.BadParameter(
            f"expected I/N with I from 1 to N, for example 1/8; found {text!r}", param_hint="--part"
        )
    return int(number), int(count)
