"""`bitcodes push`: a code set into a database."""

from pathlib import Path

from bitcodes.cli.log import LogFormatOption
from bitcodes.cli.options import JsonOption, argument, flag, option


def push(
    codes: Path = argument("CODES", "Code set to store, a .npy file."),
    url: str = argument(
        "URL",
        "Database and table: postgresql://USER@HOST/DATABASE?table=TABLE, with the password in "
        "PGPASSWORD or the password file of PostgreSQL; milvus://HOST:PORT/TABLE, with "
        "USER:PASSWORD in MILVUS_TOKEN; or lance:FOLDER?table=TABLE, where FOLDER may lie in an "
        "object store, such as s3://BUCKET/FOLDER.",
    ),
    table: str | None = option("Table to write. Default: the one in the URL, or codes."),
    update: bool = flag(
        "--update",
        "Write only the rows that differ, by path. Faster if few images have changed. In Milvus, "
        "which has no transactions, the whole set is written if a row differs. The code set must "
        "be of the same model.",
    ),
    json: JsonOption = False,
    log_format: LogFormatOption = "text",
) -> None:
    """Store a code set in a database, to search it there or from other machines.

    ```
    bitcodes push codes.npy "postgresql://user@host/db?table=photos"
    bitcodes search query.jpg --codes "postgresql://user@host/db?table=photos"
    ```

    The table gets the new set whole or not at all: others see the old one until the new one is
    complete. If this command is interrupted, run it again.

    Any PostgreSQL from version 14 will do, without extensions. In Milvus, a table is a collection;
    in Lance, which needs no server, it is a folder. docs/databases.md describes them.
    """
    from bitcodes.cli.console import progress
    from bitcodes.cli.next_step import next_command
    from bitcodes.cli.show import show
    from bitcodes.tasks import push as task

    with progress("storing codes") as report:
        result = task.push(codes, url, table=table, update=update, progress=report)
    show(result, json=json)
    if not json:
        next_command("search", "PHOTO", "--codes", result.url)
