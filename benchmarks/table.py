"""The table of measurements: its rows and how they are printed."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

_HEADS = ("name", "measured", "floor", "ratio", "target", "ok?")


@frozen
class Row:
    """What was measured, against what, and what was promised.

    The target is a ratio where there is a floor, else a value in ``unit``.
    """

    name: str
    measured: float
    unit: str
    target: float | None = None
    floor: float | None = None

    @property
    def ratio(self) -> float | None:
        """How many floors it costs."""
        return None if self.floor is None else self.measured / self.floor

    @property
    def kept(self) -> bool | None:
        """Whether the target is met; None where none was set."""
        if self.target is None:
            return None
        return (self.measured if self.ratio is None else self.ratio) <= self.target

    def cells(self) -> tuple[str, ...]:
        """Return the row as text, one cell a column."""
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        target = "" if self.target is None else f"≤ {self.target:g}"
        return (
            self.name,
            f"{self.measured:.4g} {self.unit}",
            "" if self.floor is None else f"{self.floor:.4g} {self.unit}",
            ratio,
            f"{target} {self.unit}" if target and self.floor is None else target,
            {True: "ok", False: "MISSED", None: ""}[self.kept],
        )


def table_of(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table with aligned columns."""
    cells = [_HEADS, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| "
        + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True))
        + " |"
        for line in cells
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join((lines[0], rule, *lines[1:]))
