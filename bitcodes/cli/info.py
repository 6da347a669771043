"""`bitcodes info`: what a code set, a run or a model file holds."""

from pathlib import Path

from bitcodes.cli.options import JsonOption, argument


def info(
    path: Path = argument("CODES|RUN", "Code set, run or model file.", Path("codes.npy")),
    json: JsonOption = False,
) -> None:
    """Describe a code set, a run or a model file. Verify the checksums of a code set.

    ```
    bitcodes info codes.npy
    ```
    """
    from bitcodes.cli.show import show
    from bitcodes.tasks.info import describe

    show(describe(path), json=json)
