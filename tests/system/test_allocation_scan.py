"""The allocation scan on the four-core bench: what is refused, which ports are joined, what is concluded."""

import math

import pytest
from ophyd.utils import LimitError

from drivers.key_distribution.link_settings import Routing
from plans.allocation_scan import allocation_scan, alternating
from plans.allocations import CO, COUNTER, allocations_of, told
from qdci_lab.errors import ConfigError
from qdci_lab.rehearsal import rehearse
from qdci_lab.session import open_session

INTO, OUT, FAR, CLASSICAL = (33, 34, 35, 36), (2, 3, 4, 5), (41, 42, 43, 44), (6, 7, 8)


@pytest.fixture(scope="module")
def link(testbed_folder, tmp_path_factory):
    folder = testbed_folder.parent / "wu_laquila"
    session = open_session(folder, addresses="sim.toml", directory=tmp_path_factory.mktemp("allocation"))
    session.connect()
    yield session.link
    session.close()


@pytest.mark.parametrize("direction", [COUNTER, CO])
@pytest.mark.parametrize("core", [1, 2, 3, 4])
def test_every_core_has_one_light_and_the_receiver_listens_to_the_quantum_core_alone(link, core, direction):
    """From wherever the switch stands before: the last allocation's routes are all gone."""
    link.switch.connections.set(link.connections(5 - core, direction=CO)).wait(timeout=10)
    joined = dict(enumerate(link.connections(core, direction=direction), 1))
    joined = {ingress: egress for ingress, egress in joined.items() if egress}
    ends = FAR if direction == COUNTER else INTO
    classical = {port: ends[other - 1] for port, other in zip(CLASSICAL, {1, 2, 3, 4} - {core}, strict=True)}
    assert joined == {1: INTO[core - 1], OUT[core - 1]: 40, **classical}


def test_powers_alternate_so_that_time_and_power_are_not_one():
    assert alternating([6.0, 13.0, 16.0, 18.0, 19.5]) == [19.5, 6.0, 18.0, 13.0, 16.0]


def test_a_dry_run_checks_all_and_measures_nothing(link):
    rehearsal = rehearse(allocation_scan(link))
    assert rehearsal.points == 4 * 2 * 5
    assert rehearsal.lab_time_s > 40.0


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ({"cores": [1, 5]}, LimitError, "core 5 is outside the bounds of 1 to 4"),
        ({"directions": ["against"]}, LimitError, "direction 'against' is none of"),
        ({"launch_powers_dbm": [10.0]}, ValueError, "at least two different"),
        ({"launch_powers_dbm": [10.0, 25.0]}, LimitError, "launch_power: 25 dBm"),
        ({"cores": []}, ValueError, "at least one"),
        ({"block": -1.0}, LimitError, "projected_block"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_moves(link, arguments, error, told):
    with pytest.raises(error, match=told):
        rehearse(allocation_scan(link, **arguments))


def test_a_bench_whose_switch_does_not_lead_classical_light_says_so(link, monkeypatch):
    monkeypatch.setattr(link, "routing", Routing(1, 40, list(INTO), list(OUT)))
    with pytest.raises(LimitError, match="classical_ports and far_end_ports"):
        rehearse(allocation_scan(link))


def test_classical_ports_without_far_ends_are_a_mistake_of_the_configuration():
    with pytest.raises(ConfigError, match="far_end_ports: one for each of 4 cores"):
        Routing(1, 40, list(INTO), list(OUT), classical_ports=list(CLASSICAL))


def row(core, against, power_dbm, noise_hz_per_mw, seconds=10.0, error=0.012):
    """A point with the counts that are expected, to whole ones."""
    noise = noise_hz_per_mw * 10 ** (power_dbm / 10)
    values = {
        "allocation_core": core, "allocation_against": float(against), "allocation_power": power_dbm,
        "allocation_block": 1e8, "allocation_pulse_rate": 1e8, "allocation_wavelength": 1560.61,
        "link_launch_power": power_dbm, "link_duration": seconds,
        "link_skr_rusca_2018": math.nan, "link_skr_rusca_2018_error": math.nan,
    }  # fmt: skip
    protocol = {
        "mu": 0.523,
        "nu": 0.131,
        "p_signal": 0.798,
        "p_z": 0.898,
        "f_ec": 1.16,
        "eps_sec": 1e-9,
        "eps_cor": 1e-15,
    }
    values |= {f"allocation_{name}": value for name, value in protocol.items()}
    for basis, p_basis in (("z", 0.898), ("x", 0.102)):
        for kind, p_k, k in (("signal", 0.798, 0.523), ("decoy", 0.202, 0.131)):
            signal = 1e8 * p_basis * p_k * (1 - math.exp(-0.5 * 4.7e-3 * k))
            caught = 0.5 * p_basis * p_k * noise
            values[f"link_n_{basis}_{kind}"] = round((signal + caught) * seconds)
            values[f"link_m_{basis}_{kind}"] = round((error * signal + 0.5 * caught) * seconds)
    return values


def test_the_least_disturbed_allocation_wins_and_the_margin_has_an_error():
    rows = [
        row(core, against, power, noise)
        for core, against, noise in ((1, True, 30.0), (1, False, 90.0), (2, True, 32.0))
        for power in (6.0, 16.0, 19.5)
    ]
    ranked = allocations_of(rows)
    assert [(one.core, one.direction) for one in ranked] == [(1, COUNTER), (2, COUNTER), (1, CO)]
    best = ranked[0]
    assert best.transmission == pytest.approx(4.7e-3, rel=2e-3)
    assert best.slope.noise_hz_per_w == pytest.approx(3e4, rel=0.02)
    # at equal key in the dark the end is inverse to the noise: 10 lg (90 / 30)
    assert best.greatest_dbm - ranked[2].greatest_dbm == pytest.approx(4.77, abs=0.15)
    text = told(ranked)
    assert "quantum signal in core 1, counter-propagating" in text
    second, turned = (line for line in text.splitlines() if line.startswith("better than"))
    assert "core 2, counter-propagating" in second
    assert second.endswith("not to be told apart by this scan")
    assert "core 1, co-propagating" in turned
    assert "not to be told apart" not in turned
    assert "the key ends +" in text


def test_allocations_without_key_rank_by_the_power_they_bear_and_say_so():
    rows = [
        row(core, True, power, noise, error=error)
        for core, noise, error in ((1, 400.0, 0.012), (2, 300.0, 0.012), (3, 300.0, 0.2))
        for power in (6.0, 19.5)
    ]
    ranked = allocations_of(rows)
    assert [one.core for one in ranked] == [2, 1, 3]
    assert "no key at this power; it ends at" in told(ranked)
    assert math.isnan(ranked[2].greatest_dbm)
    assert "no key at any launch power" in told(ranked[2:])
    assert told([]) == "no allocation was measured at two launch powers"
