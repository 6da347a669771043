"""How a notebook shows results: `report` renders them, and the package connects the two."""

from collections.abc import Callable

renderers: list[Callable[[object], str | None]] = []
"""What renders a result as HTML: one function, which the package adds."""


class ShownAsHtml:
    """A result that Jupyter and others show as HTML."""

    def _repr_html_(self) -> str | None:
        return renderers[0](self)
