"""Makes docs/results.jpg, the picture of a result page in the README: python docs/picture.py

It needs Chromium or Chrome on the PATH. The pictures are those that `bitcodes prepare demo` draws.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

QUERIES = ("circle/0001.png", "stripes/0003.png")
SIZE = (1180, 930)


def main() -> None:
    """Prepare, encode, search, and photograph the page."""
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
    if browser is None:
        sys.exit("Chromium is not on the PATH")
    picture = Path(__file__).with_name("results.jpg")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def run(*words: str) -> None:
            subprocess.run(words, cwd=folder, check=True, env={**os.environ, "NO_COLOR": "1"})

        bitcodes = (sys.executable, "-m", "bitcodes")
        run(*bitcodes, "prepare", "demo")
        run(*bitcodes, "encode", "data/demo/database.txt", "-o", "pictures.npy")
        queries = [f"data/demo/test/{query}" for query in QUERIES]
        options = ["--codes", "pictures.npy", "-k", "5", "--html", "page.html"]
        run(*bitcodes, "search", *queries, *options)
        run(
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *(f"--user-data-dir={folder / 'profile'}", f"--window-size={SIZE[0]},{SIZE[1]}"),
            *("--screenshot=page.png", (folder / "page.html").as_uri()),
        )
        with Image.open(folder / "page.png") as page:
            page.convert("RGB").save(picture, quality=80, optimize=True)
    print(f"{picture}: {picture.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
