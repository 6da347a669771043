"""`bitcodes serve`: searches in the browser and over HTTP."""

import webbrowser

import typer

from bitcodes.choices import LogFormat
from bitcodes.cli.options import argument, flag, number, option


def serve(
    codes: list[str] | None = argument(
        "CODES",
        "Code sets to search, or URLs of databases, which are read into memory; or one folder of "
        "images, which the page offers to encode into codes.npy. Default: the nearest codes.npy, "
        "in the working folder or a folder above.",
        default=None,
    ),
    host: str = option(
        "Address to listen at. 0.0.0.0 is every address of this machine, and needs a token.",
        default="127.0.0.1",
    ),
    port: int = option(
        "Port to listen at; 0 is any free port.", default=8000, **number(int, least=0, most=65535)
    ),
    open_page: bool = flag("--open", "Open the page in the browser."),
    token: str | None = option(
        "Token that requests must carry. Default: none, or a new random one if --host is not this "
        "machine alone.",
        envvar="BITCODES_TOKEN",
        show_envvar=True,
    ),
    allow_host: list[str] | None = option(
        "Name that clients may call the service by, such as that of a proxy before it; can be "
        "repeated. localhost and addresses are allowed.",
        metavar="NAME",
    ),
    run: str | None = option(
        "Run, model file, or built-in, which encodes the images searched for. Default: the one "
        "that encoded the code set."
    ),
    decisions: bool = flag(
        "--decisions",
        "Let people decide on duplicates on the page. Decisions are written to "
        "codes.decisions.tsv; no image is changed.",
    ),
    threads: int | None = option(
        "Threads that search. Default: one less than there are cores, as one reads the requests.",
        **number(int, least=1),
    ),
    log_format: LogFormat = option(
        "text shows messages; json writes one JSON document per message and per request.",
        default="text",
    ),
) -> None:
    """Search in the browser and over HTTP.

    ```
    bitcodes serve --open
    bitcodes serve photos/
    bitcodes serve photos.npy holidays.npy --port 8080
    bitcodes serve "postgresql://host/db?table=photos"
    ```

    Drop a picture on the page to find the images like it. Programs use the same searches under
    /v1; docs/serving.md shows how. A code set is opened again when it changes.

    Only images of the code sets are read and sent, as small pictures without metadata. The service
    listens on this machine alone unless --host says otherwise.
    """
    try:
        from bitcodes.server import Server
    except ModuleNotFoundError as error:
        raise typer.BadParameter(
            f"{error.name} is missing: pip install 'bitcodes[serve]'", param_hint="serve"
        ) from None
    from bitcodes.cli.code_sets import find_codes
    from bitcodes.cli.console import note

    server = Server(
        codes or [find_codes(None)],
        host=host,
        port=port,
        token=token,
        allow_hosts=allow_host or (),
        run=run,
        threads=threads,
        decisions=decisions,
        note=note,
        log_format=log_format,
    )
    server.note(f"{server.url_with_token}: open it in a browser; Ctrl-C ends the service")
    if open_page:
        webbrowser.open(server.url_with_token)
    server.run()
