"""Published numbers beside what the project obtains: a row for each, in families, misses shown.

A family is a function in a module of this package, `@family("title")`, which returns rows; importing the module here is
all that registers it. Families get the newest recorded run of each plan and may take values from it; without runs they
compute by formula.
"""

from plans.published import clason, ji, qiu, zheng
from plans.published.table import FAMILIES, Family, Row, Runs, as_markdown, as_table, families_of, newest_runs

__all__ = [
    "FAMILIES",
    "Family",
    "Row",
    "Runs",
    "as_markdown",
    "as_table",
    "clason",
    "families_of",
    "ji",
    "newest_runs",
    "qiu",
    "zheng",
]
