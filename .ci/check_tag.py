"""Ends with an error unless a tag, such as v0.2.0, is that of the version about to be released."""

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main(tag: str) -> None:
    """Compare the tag with pyproject.toml, and look for the version in the changelog."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version = project["version"]
    if tag != f"v{version}":
        sys.exit(f"the tag is {tag}, but pyproject.toml has version {version}: expected v{version}")
    headings = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    if f"## {version}" not in headings:
        sys.exit(f"CHANGELOG.md has no heading '## {version}': add it, without '(unreleased)'")


if __name__ == "__main__":
    main(*sys.argv[1:])
