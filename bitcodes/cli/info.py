"""`bitcodes info`: what a code set, a run or a model file holds."""

from bitcodes.cli.options import JsonOption, argument


def info(
    path: str = argument("CODES|RUN", "Code set, run, model file, or built-in.", "codes.npy"),
    json: JsonOption = False,
) -> None:
    """Describe a code set, a run or a model. Verify the checksums of a code set.

    ```
    bitcodes info codes.npy
    ```
    """
    from bitcodes.cli.show import show
    from bitcodes.tasks.info import describe

    show(describe(path), json=json)
