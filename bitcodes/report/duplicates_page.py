"""Near-duplicates as one HTML page that loads nothing."""

from bitcodes.report.page import Thumbnails, render
from bitcodes.tasks.duplicates import Duplicates

MAX_GROUPS = 200
MAX_IMAGES = 12
MAX_PICTURES = 1500
"""More would make the page too large for a phone. The page says what it leaves out."""

_PIXELS = 224


def duplicates_page(duplicates: Duplicates, title: str = "Near-duplicates") -> str:
    """A page with the largest groups as rows of thumbnails, the image to keep first in each."""
    numbered = enumerate(duplicates.groups, 1)
    groups = sorted(numbered, key=lambda group: -len(group[1]))[:MAX_GROUPS]
    hidden = len(duplicates.groups) - len(groups)
    return render(
        "duplicates.html",
        title=title,
        duplicates=duplicates,
        groups=groups,
        images_per_group=max(2, min(MAX_IMAGES, MAX_PICTURES // max(1, len(groups)))),
        notes=[f"Smaller groups that are not shown: {hidden:,}."] if hidden else [],
        thumbnail=Thumbnails(),
        pixels=_PIXELS,
    )
