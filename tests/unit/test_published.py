"""The table of published against obtained values."""

import math
import re
from pathlib import Path

import pytest

from plans.published import FAMILIES, Row, as_markdown, families_of
from plans.published.qiu import key_rate_bps
from plans.published.table import family, newest_runs
from qdci_lab.errors import RecordError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def rows():
    return [row for _, group in families_of({}) for row in group]


def row_of(rows, pattern):
    (found,) = [row for row in rows if re.search(pattern, f"{row.source} {row.quantity}")]
    return found


def test_the_page_is_what_the_command_prints():
    """Renew it with `qdci published --write docs/published.md`."""
    assert (ROOT / "docs" / "published.md").read_text(encoding="utf-8") == as_markdown(families_of({}))


def test_misses_are_shown(rows):
    verdicts = {row.verdict.split(" (")[0] for row in rows}
    assert {"agrees", "misses", "not reproducible", "input"} <= verdicts
    assert row_of(rows, "QBER above 10 dBm").verdict.startswith("misses")
    assert row_of(rows, "key rate with 2 Tb/s").verdict.startswith("misses")


@pytest.mark.parametrize(
    ("pattern", "computed", "relative"),
    [  # computed beforehand by another program, from the same formulas
        ("key rate in the dark$", 229.2, 0.005), ("key rate at 50 km", 22.4, 0.005), ("QBER above 10", 2.22, 0.01),
        ("total length", 303.0, 1e-9), ("NYK-KTH", 21.0, 0.2), ("band at -24.6 dBm", 1.5e6, 0.05),
        ("PLOB bound at 370", 19.0, 0.03), ("PLOB bound at 204", 9.84e-5 / 1.92e-4, 0.03),
    ],
)  # fmt: skip
def test_values_agree_with_those_of_another_hand(rows, pattern, computed, relative):
    assert row_of(rows, pattern).obtained == pytest.approx(computed, rel=relative)


def test_qiu_s_rates_follow_from_dead_time():
    added_db = (0.0, 3.0, 5.0, 7.0, 8.0, 10.0)
    fitted = (2522, 2076, 1719, 1351, 1174, 856)
    assert [key_rate_bps(loss) for loss in added_db] == pytest.approx(fitted, rel=2e-3)


def test_no_key_where_the_stated_dark_counts_leave_none(rows):
    for km in (100, 150):
        assert row_of(rows, f"key rate at {km} km").obtained == 0.0
        assert row_of(rows, f"key rate at {km} km").verdict == "not reproducible"


def test_class_b_names_its_parameter_and_class_c_its_reason(rows):
    for kind in "BC":
        assert all(row.note for row in rows if row.kind == kind)
        with pytest.raises(ValueError, match=f"class {kind} must"):
            Row("a paper", "a number", kind)


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (Row("p", "q", "A", "b/s", 100.0, None, 104.0, 0.05), "agrees (+4.0 %)"),
        (Row("p", "q", "A", "b/s", 100.0, None, 106.0, 0.05), "misses (+6.0 %)"),
        (Row("p", "q", "A", "dBm", -100.0, None, -99.0, 0.5), "misses (+1.0 dB)"),
        (Row("p", "q", "A", "b/s", 0.0, None, 3.0, 0.5), "misses"),
        (Row("p", "q", "A", "b/s", 100.0), "not obtained"),
        (Row("p", "q", "C", "b/s", 100.0, None, 100.0, note="why"), "not reproducible"),
    ],
)
def test_verdicts(row, verdict):
    assert row.verdict == verdict


def test_another_family_needs_no_more_than_a_function():
    @family("somebody's experiment")
    def more(_runs):
        return [Row("somebody", "a number", "A", "", 1.0, None, 1.0, 0.1)]

    try:
        assert families_of({})[-1] == ("somebody's experiment", more({}))
    finally:
        FAMILIES.pop()


def test_a_folder_that_is_not_there_is_told(tmp_path):
    assert newest_runs(None) == newest_runs(tmp_path) == {}
    with pytest.raises(RecordError, match="no folder"):
        newest_runs(tmp_path / "nothing")


class Campaign:
    """A recorded run of core switching: core, current in mA, blocks and key rate of each step."""

    path = Path("campaign.h5")

    def __init__(self, cores, steps):
        self.start = {"plan_args": {"cores": cores}}
        self._steps = steps

    def events(self, _stream):
        for core, current_ma, blocks, skr_bps in self._steps:
            step = {"core": core, "current": current_ma, "blocks": blocks, "skr": skr_bps}
            yield {"data": {f"step_{key}": value for key, value in step.items()}}


def test_key_rates_of_the_trusted_node_are_means_over_the_blocks_of_the_newest_campaign():
    through = Campaign(
        [1, 6], [(1, 0.0, 50, 200.0), (1, 45.0, 25, 8.0), (6, 0.0, 50, 100.0), (6, 45.0, 0, math.nan)]
    )
    past = Campaign([0], [(0, 0.0, 10, 5000.0)])
    other = Campaign([1, 6], [(1, 0.0, 50, 1.0)])
    runs = {("core_switching", "clason_trusted_node"): [past, through, other]}
    found = [row for _, group in families_of(runs) for row in group]
    mean_bps = (50 * 200.0 + 25 * 8.0 + 50 * 100.0) / 125
    whole = row_of(found, "key rate LiU-NYK with the multicore fibre$")
    assert (whole.obtained, whole.how) == (pytest.approx(mean_bps), "campaign.h5")
    assert row_of(found, "without the multicore fibre, SNSPD").obtained == pytest.approx(5.0)
    assert row_of(found, "NYK-KTH$").how == "formula"
    assert row_of(found, "at 45 mA .* core 1$").obtained == pytest.approx(0.04)
    assert row_of(found, "at 45 mA .* core 6$").obtained is None
