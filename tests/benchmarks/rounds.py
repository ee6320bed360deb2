"""Ways of doing the same, taken in turn in every round, and what they reached beside each other."""

import statistics
import time
from collections.abc import Callable, Mapping

from rich.console import Console
from rich.table import Table

Way = Callable[[], object]


def rates(ways: Mapping[str, Way], rounds: int, amount: float) -> dict[str, list[float]]:
    """Amount a second by way, one value a round; who goes first changes from round to round."""
    names = list(ways)
    measured: dict[str, list[float]] = {name: [] for name in names}
    for way in ways.values():
        way()
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            begun = time.perf_counter()
            ways[name]()
            measured[name].append(amount / (time.perf_counter() - begun))
    return measured


def ratios(measured: Mapping[str, list[float]], name: str, over: str) -> list[float]:
    return [mine / theirs for mine, theirs in zip(measured[name], measured[over], strict=True)]


def show(title: str, unit: str, measured: Mapping[str, list[float]], over: tuple[str, ...]) -> None:
    """A table: medians, and ratios in the same round as median and quartiles."""
    table = Table(title=title, title_justify="left")
    for heading in ("way", unit, *(f"over {name}" for name in over)):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    for name, values in measured.items():
        low_median_high = [statistics.quantiles(ratios(measured, name, base)) for base in over]
        cells = [f"{median:.2f} ({low:.2f} to {high:.2f})" for low, median, high in low_median_high]
        table.add_row(name, f"{statistics.median(values):,.0f}", *cells)
    console = Console(width=120)
    console.print()
    console.print(table)
