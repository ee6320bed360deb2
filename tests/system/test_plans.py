"""What every plan has in common, on one simulated bench: dry runs, refusals, a bench left as it was, the prompt."""

import pytest
from ophyd.utils import LimitError

from plans.published import families_of, newest_runs
from qdci_lab.ipython import prompt_namespace
from qdci_lab.record.replay import Run
from qdci_lab.rehearsal import rehearse
from qdci_lab.session import find_plans, open_session

PLANS = (
    "align_polarization", "calibrate_delays", "calibrate_mean_photon_number", "characterise_cores",
    "dark_counts_vs_launch_power", "error_budget", "scan_gate", "skr_vs_distance", "skr_vs_launch_power",
    "sync_pulse_width",
)  # fmt: skip
CLASON, QIU, WU = "clason_trusted_node", "qiu_cow_dci", "wu_laquila"
ELSEWHERE = {
    "accumulate_key": (CLASON, {"duration_h": 2.0}),
    "core_switching": (CLASON, {"duration_h": 2.0}),
    "detector_comparison": (CLASON, {}),
    "attenuation_sweep": (QIU, {}),
    "stability": (QIU, {}),
    "allocation_scan": (WU, {}),
}
"""Plans for other testbeds; what they refuse is tested beside what they measure."""


@pytest.fixture(scope="module")
def session(testbed_folder, tmp_path_factory):
    opened = open_session(testbed_folder, addresses="sim.toml", directory=tmp_path_factory.mktemp("plans"))
    opened.connect()
    yield opened
    opened.close()


def test_every_plan_is_rehearsed_here():
    assert set(PLANS) | set(ELSEWHERE) == set(find_plans())


@pytest.mark.parametrize("testbed", [CLASON, QIU, WU])
def test_plans_for_another_testbed_are_rehearsed_at_its_prompt_and_move_nothing(
    testbed, testbed_folder, tmp_path
):
    session = open_session(testbed_folder.parent / testbed, addresses="sim.toml", directory=tmp_path)
    try:
        session.connect()
        names = prompt_namespace(session)
        before, began_ps = positions(session), session.lab_clock.now_ps()
        for name, (_, arguments) in (item for item in ELSEWHERE.items() if item[1][0] == testbed):
            rehearsal = names["rehearse"](names[name](session.link, **arguments))
            assert min(rehearsal.points, rehearsal.moves, rehearsal.lab_time_s) >= 2, name
        assert session.lab_clock.now_ps() == began_ps
        assert positions(session) == before
    finally:
        session.close()


def positions(session):
    """Everything that can be moved, as it stands."""
    return {
        signal.name: signal.get()
        for device in session.devices.values()
        for signal in device.quantities()
        if hasattr(signal, "set") and signal.is_measured and hasattr(signal, "check_value")
    }


@pytest.mark.parametrize("name", PLANS)
def test_a_dry_run_of_the_defaults_passes_and_moves_nothing(session, name):
    before = session.lab_clock.now_ps()
    rehearsal = rehearse(find_plans()[name](session.link))
    assert rehearsal.points >= 4
    assert rehearsal.moves > 0
    assert session.lab_clock.now_ps() == before


@pytest.mark.parametrize(
    ("name", "arguments", "error", "told"),
    [
        ("calibrate_delays", {"clicks": 10.0}, LimitError, "wanted_clicks: 10 count is below"),
        ("calibrate_delays", {"core": 9}, LimitError, "core 9"),
        ("scan_gate", {"gate_widths_ps": [100.0, 200.0, 300.0, 2e4]}, LimitError, "gate_width: 20000 ps"),
        ("scan_gate", {"gate_widths_ps": [100.0, 200.0]}, ValueError, "four different"),
        ("scan_gate", {"added_loss_db": 80.0}, LimitError, r"probe_voa_attenuation: 78\.8 dB"),
        ("calibrate_mean_photon_number", {"attenuations_db": [0.0, 50.0]}, LimitError, "50 dB"),
        ("calibrate_mean_photon_number", {"readings": 1}, ValueError, "at least 2"),
        ("error_budget", {"launch_power_dbm": 40.0}, LimitError, "launch_power: 40 dBm"),
        ("error_budget", {"clicks": 1e9}, LimitError, "wanted_clicks"),
        ("align_polarization", {"interval_s": 0.0}, ValueError, "interval_s 0 positive"),
        ("skr_vs_distance", {"distances_km": [1.0]}, ValueError, "less than the fibre's"),
        ("skr_vs_distance", {"distances_km": [400.0]}, LimitError, "probe_voa_attenuation"),
        ("characterise_cores", {"laser_power_dbm": 30.0}, LimitError, "probe_laser_power: 30 dBm"),
        ("sync_pulse_width", {"sources": ["radio"]}, ValueError, "give some of cable, optical"),
        ("sync_pulse_width", {"records": 0}, ValueError, "records: 0"),
        ("sync_pulse_width", {"pulses": 2}, ValueError, "pulses: 2 in a record"),
        ("dark_counts_vs_launch_power", {"cores": [1, 2]}, ValueError, "lit"),
        ("dark_counts_vs_launch_power", {"lit_core": 2, "cores": [3]}, ValueError, r"cores \[1, 4\] only"),
        ("dark_counts_vs_launch_power", {"launch_powers_dbm": [0.0, 20.0]}, LimitError, "attenuation"),
    ],
)  # fmt: skip
def test_what_cannot_be_carried_out_is_refused_before_anything_moves(session, name, arguments, error, told):
    before = positions(session)
    with pytest.raises(error, match=told):
        rehearse(find_plans()[name](session.link, **arguments))
    assert positions(session) == before


def test_a_testbed_without_a_probe_says_so(session, monkeypatch):
    monkeypatch.setattr(session.link, "probe_power_meter", None)
    with pytest.raises(LimitError, match=r"no probe laser, attenuator and power meter"):
        rehearse(find_plans()["calibrate_mean_photon_number"](session.link))


def test_a_testbed_without_an_oscilloscope_says_so(session, monkeypatch):
    monkeypatch.setattr(session.link, "oscilloscope", None)
    with pytest.raises(LimitError, match=r"shows no sync pulses .*\[link\.sync\]"):
        rehearse(find_plans()["sync_pulse_width"](session.link))


def test_plans_run_at_the_prompt_and_leave_the_bench_as_it_was(session):
    names = prompt_namespace(session)
    assert set(PLANS) | {"rehearse"} <= set(names)
    link = session.link
    before = positions(session)
    for name, arguments in (
        ("calibrate_delays", {"clicks": 1e5}),
        ("sync_pulse_width", {"records": 1}),
        ("skr_vs_distance", {"distances_km": [50.0], "detections": 2e4, "align": False}),
    ):
        names["RE"](names[name](link, **arguments))
        run = Run(names["recorder"].path)
        assert run.start["plan_args"].items() >= arguments.items()
        assert run.streams[0] == "baseline"
        assert len(list(run.events("baseline"))) == 2
        after = positions(session)
        moved = {key for key in before if str(before[key]) != str(after[key])}
        # What the generator plays is not brought back; nothing leaves Alice with her shutter closed.
        assert {key for key in moved if not key.startswith("alice_awg")} == set()
    assert link.gate_width.get() == 0.0
    assert link.projected_block.get() == 0.0
    assert link.probe_voa.shutter_open.get() == 0
    for finish in session.when_closed:
        finish()
    assert run.path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    published = dict(families_of(newest_runs(session.directory)))
    (row,) = [row for rows in published.values() for row in rows if row.quantity == "key rate at 50 km"]
    assert row.how == run.path.name
