"""How a notebook shows results: `report` renders them, and the package connects the two."""

from collections.abc import Callable

Renderer = Callable[[object], str | None]


class ShownAsHtml:
    """A result that Jupyter and others show as HTML."""

    def _repr_html_(self) -> str | None:
        """The result as HTML; None if the package has set no renderer."""
        return None if _renderer is None else _renderer(self)


_renderer: Renderer | None = None


def set_renderer(renderer: Renderer) -> None:
    """Set what renders results as HTML."""
    global _renderer
    _renderer = renderer
