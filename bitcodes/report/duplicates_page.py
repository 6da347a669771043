"""Near-duplicates as one HTML page that needs nothing else."""

from collections.abc import Iterator

from bitcodes.report.page import Pictures, as_html, page_start
from bitcodes.tasks.duplicates import Duplicates, Image

MAX_GROUPS = 200
MAX_IMAGES = 12
MAX_PICTURES = 1500
"""More than these would make a page too large for a phone; what is left out is told."""

_PIXELS = 192


def duplicates_page(found: Duplicates, title: str = "Near-duplicates") -> str:
    """A page with the largest groups as rows of thumbnails, the image to keep first in each."""
    return "".join(_page(found, title))


def _page(found: Duplicates, title: str) -> Iterator[str]:
    groups = sorted(enumerate(found.groups, 1), key=lambda item: -len(item[1]))[:MAX_GROUPS]
    each = max(2, min(MAX_IMAGES, MAX_PICTURES // max(1, len(groups))))
    pictures = Pictures()
    yield page_start(title, _STYLE)
    yield (
        f"<header>\n<h1>{as_html(title)}</h1>\n<p>{as_html(found.describe())} "
        f"<span aria-hidden=true>·</span> code set <b>{as_html(found.codes)}</b></p>\n"
        "</header>\n<main>\n"
    )
    if not groups:
        yield "<p class=none>Nothing found.</p>\n"
    for number, images in groups:
        shown = images[:each]
        more = f", {len(images) - len(shown):,} not shown" if len(images) > len(shown) else ""
        size = f"<span>{len(images):,} images{more}</span>"
        yield f"<section>\n<h2>Group {number:,}{size}</h2>\n<ol>\n"
        for place, image in enumerate(shown):
            yield _item(image, place == 0, pictures)
        yield "</ol>\n</section>\n"
    yield "</main>\n"
    hidden = len(found.groups) - len(groups)
    if hidden:
        yield f"<footer><p>{hidden:,} smaller groups are not shown.</p></footer>\n"
    yield "</body>\n</html>\n"


def _item(image: Image, kept: bool, pictures: Pictures) -> str:
    path = as_html(image.path).replace("/", "/<wbr>")
    if kept:
        note = "<b>keep</b>"
    else:
        note = f"{image.distance} {'bit' if image.distance == 1 else 'bits'} apart"
    return (
        f"<li{' class=kept' if kept else ''}>{pictures.tag(image.file, _PIXELS, image.path)}"
        f"<p class=note>{note}</p><p class=path><bdi>{path}</bdi></p></li>\n"
    )


_STYLE = """\
section { border-top: 1px solid var(--line); margin-top: 24px; padding-top: 20px; }
h2 { font-size: 1rem; }
h2 span { color: var(--quiet); font-weight: 400; margin-left: 10px; }
ol {
  list-style: none; padding: 0; margin-top: 12px; display: grid; gap: 12px; align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(124px, 1fr));
}
li {
  background: var(--card); border: 1px solid var(--line); border-radius: 12px; overflow: hidden;
  padding-bottom: 8px;
}
li.kept { border-color: var(--right); box-shadow: 0 0 0 1px var(--right); }
li p { margin: 5px 10px 0; }
img { display: block; width: 100%; aspect-ratio: 1; object-fit: cover; background: var(--track); }
.note { color: var(--quiet); font-size: .8125rem; }
.note b { color: var(--right); }
.path {
  color: var(--quiet); font-size: .75rem; overflow-wrap: anywhere; overflow: hidden;
  display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 3;
}
.missing {
  aspect-ratio: 1; display: grid; place-items: center; padding: 12px; text-align: center;
  background: var(--track); color: var(--quiet); font-size: .75rem; overflow: hidden;
  overflow-wrap: anywhere;
}
.none { color: var(--quiet); margin-top: 24px; }
footer {
  border-top: 1px solid var(--line); margin-top: 24px; padding-top: 14px; color: var(--quiet);
  font-size: .875rem;
}
@media (max-width: 720px) {
  body { padding: 20px 14px 32px; }
  ol { grid-template-columns: repeat(auto-fill, minmax(96px, 1fr)); gap: 8px; }
}
"""
