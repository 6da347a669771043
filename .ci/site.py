"""What mkdocs.yml needs beside docs/: README.md as the first page, and links that leave the folder.

The documents are written to be read in the repository. Links from them to other files of it become
links to the repository on GitHub; a link to a file that is not there ends the build.
"""

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
_FENCE = re.compile(r"(?m)^(\s*```[a-z]+) .*$")  # its second word is for the tests of documents
_LINK = re.compile(r"(\]\()([^)#:\s][^)#:\s]*)((?:#[^)\s]*)?\))")  # not within a page, not to a URL


def on_config(config: Any) -> Any:
    """Link to the repository that the site is built of, if GitHub builds it."""
    if repository := os.environ.get("GITHUB_REPOSITORY"):
        config.repo_url = f"https://github.com/{repository}"
        config.repo_name = repository
    return config


def on_files(files: Any, config: Any) -> Any:
    """Have README.md as the first page."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    files.append(File.generated(config, "index.md", content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Let links of a page lead to pages of the site, or to files in the repository."""
    folder = ROOT if page.file.src_uri == "index.md" else ROOT / "docs"
    repository = (config.repo_url or "https://github.com").rstrip("/")

    def changed(match: re.Match[str]) -> str:
        target = Path(os.path.normpath(folder / match[2]))
        if not target.exists():
            raise PluginError(f"{page.file.src_uri}: there is no {match[2]}")
        place = PurePosixPath(target.relative_to(ROOT))
        if place == PurePosixPath("README.md"):
            return f"{match[1]}index.md{match[3]}"
        if place.parts[0] == "docs" and len(place.parts) > 1:
            return f"{match[1]}{place.relative_to('docs')}{match[3]}"
        kind = "tree" if target.is_dir() else "blob"
        return f"{match[1]}{repository}/{kind}/HEAD/{place}{match[3]}"

    return _LINK.sub(changed, _FENCE.sub(r"\1", markdown))
