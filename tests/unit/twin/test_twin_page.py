"""The documentation's table of calibrations is that of the components."""

from pathlib import Path

from sim_devices.twin import sampling
from sim_devices.twin.components import COMPONENTS

PAGE = Path(__file__).parents[3] / "docs" / "twin.md"


def test_the_table_of_calibrations_is_complete():
    found = {
        cells[1].strip(" `"): {name.strip(" `") for name in cells[2].split(",")}
        for cells in (line.split("|") for line in PAGE.read_text(encoding="utf-8").splitlines())
        if len(cells) == 4 and cells[1].startswith(" `")
    }
    assert found == {name: set(kind.CALIBRATIONS) for name, kind in COMPONENTS.items() if kind.CALIBRATIONS}


def test_the_table_of_origins_is_that_of_the_sampling():
    text = PAGE.read_text(encoding="utf-8")
    words = {
        sampling.SIGNAL: "signal", sampling.RAMAN: "Raman", sampling.DARK_COUNT: "dark",
        sampling.AFTERPULSE: "afterpulse", sampling.CROSSTALK: "crosstalk", sampling.STRAY: "stray",
    }  # fmt: skip
    assert all(f"| {number} {word} |" in text for number, word in words.items())
