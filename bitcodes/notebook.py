"""How a notebook shows results."""

from importlib import import_module


class ShownAsHtml:
    """A result that Jupyter and others show as HTML."""

    def _repr_html_(self) -> str | None:
        # Found by name when a notebook asks: results do not depend on how they look.
        html: str | None = import_module("bitcodes.report.notebook").as_html(self)
        return html
