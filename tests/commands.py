"""Commands run in the process of a test."""

from bitcodes.cli.app import main


def run(*arguments: object) -> int:
    """The exit status of `bitcodes ARGUMENTS...`."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0
