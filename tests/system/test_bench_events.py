"""What happens to a run when somebody else moves or stops an instrument while it goes on."""

import json
import subprocess
import sys

import numpy as np
import pytest
import pyvisa
from bluesky.utils import RunEngineInterrupted

from plans.skr_vs_launch_power import skr_vs_launch_power
from qdci_lab.errors import LabError
from qdci_lab.record.replay import Run
from qdci_lab.session import open_session, quiet_bluesky
from qdci_lab.signals import TaskStatus
from qdci_lab.sim_process import registration_path
from sim_devices.bench import Bench

DEAD_TIME_S = 105e-9
MOVE_BY_3_DB = """
import sys, pyvisa
manager = pyvisa.ResourceManager("@py")
voa = manager.open_resource(sys.argv[1], read_termination="\\n", write_termination="\\n")
voa.write(f":INP1:ATT {float(voa.query(':INP1:ATT?')) + 3.0}")
assert voa.query("*OPC?").strip().lstrip("+") == "1"
voa.close()
manager.close()
"""


@pytest.fixture
def bench(testbed_folder):
    """A bench in this process, which sessions find as they find any other."""
    note = registration_path(testbed_folder)
    with Bench(testbed_folder) as running:
        note.write_text(json.dumps({"control": running.control_address}), encoding="utf-8")
        yield running
        note.unlink()


@pytest.fixture
def session(testbed_folder, bench, tmp_path):
    assert bench.devices
    quiet_bluesky()
    opened = open_session(testbed_folder, addresses="sim.toml", directory=tmp_path)
    opened.connect()
    yield opened
    opened.close()


def is_dark(bench) -> bool:
    """Whether both shutters are closed and the amplifier is off, as the light feels it."""
    shutters = [bench.twin.handle(name).setting("shutter_open") for name in ("alice_voa", "launch_voa")]
    return not any(shutters) and not bench.twin.handle("amplifier").setting("emission_on")


def measure(session, *, on_event=None, on_progress=None, **arguments):
    engine, recorder = session.run_engine()
    if on_event is not None:
        engine.subscribe(on_event, "event")
    if on_progress is not None:
        engine.waiting_hook = lambda statuses: [
            status.watch(on_progress) for status in statuses or () if isinstance(status, TaskStatus)
        ]
    engine(
        skr_vs_launch_power(session.link, **{"launch_powers_dbm": [-10.0], "detections": 4e5, **arguments})
    )
    return recorder


def test_an_attenuator_moved_by_another_process_halves_the_light_from_that_instant(bench, session):
    moved_at_ps = []

    def move_once(*, name, fraction, **_kwargs):
        if name == "link" and fraction < 0.5 and session.link.keep_tags.last == 1 and not moved_at_ps:
            moved_at_ps.append(bench.twin.lab_time.now_ps())
            address = bench.devices["alice.voa"].address
            subprocess.run([sys.executable, "-c", MOVE_BY_3_DB, address], check=True, timeout=60)
            moved_at_ps.append(bench.twin.lab_time.now_ps())

    recorder = measure(session, on_progress=move_once)
    times = np.concatenate([block[0] for block in Run(recorder.path).tags()])
    before, after = times[times < moved_at_ps[0]], times[times >= moved_at_ps[1]]
    assert moved_at_ps[1] - moved_at_ps[0] < 50e9  # the filter moves at once, and lab time with it

    def light(tags):
        """Rate of a detector without its dead time and dark counts, and its relative standard error."""
        rate = len(tags) / 4 / ((tags[-1] - tags[0]) * 1e-12)
        return rate / (1 - rate * DEAD_TIME_S) - 600.0, 1 / np.sqrt(len(tags))

    (high, high_error), (low, low_error) = light(before), light(after)
    ratio, error = low / high, low / high * np.hypot(high_error, low_error)
    # Afterpulses (0.5 %) scale with the light; five standard errors: false alarm below 1e-6.
    assert abs(ratio - 10**-0.3) < 5 * error


@pytest.mark.parametrize(
    "role", ["bob.tagger", "classical.power_meter", "alice.voa", "bob.polarization_controller"]
)
def test_a_device_that_stops_in_mid_run_is_named_and_the_bench_is_left_safe(bench, session, role):
    def stop_device(_name, document):
        if "link_launch_power" in document["data"] and "classical_laser_power" in document["data"]:
            bench.stop_device(role)

    with pytest.raises(LabError, match=role):
        measure(session, on_event=stop_device, launch_powers_dbm=[-10.0, 0.0], detections=1e5)
    run = Run(session.recorders[-1].path)
    assert list(session.directory.glob("*.h5")) == [run.path]
    assert run.stop is not None
    assert run.stop["exit_status"] == "fail"
    assert role in run.stop["reason"]
    assert len(run.table("primary")["seq_num"]) == 1
    if role != "alice.voa":
        assert is_dark(bench)


def test_after_a_run_the_shutters_are_closed_and_the_amplifier_is_off(bench, session):
    measure(session, detections=1e5)
    assert is_dark(bench)


def test_a_pause_in_mid_acquisition_takes_the_point_again(session):
    paused = []
    engine, recorder = session.run_engine()

    def pause_once(*, name, fraction, **_kwargs):
        if name == "link" and session.link.keep_tags.last == 1 and fraction < 0.7 and not paused:
            paused.append(fraction)
            engine.request_pause(defer=False)

    engine.waiting_hook = lambda statuses: [
        status.watch(pause_once) for status in statuses or () if isinstance(status, TaskStatus)
    ]
    with pytest.raises(RunEngineInterrupted):
        engine(skr_vs_launch_power(session.link, launch_powers_dbm=[-10.0], detections=4e5))
    engine.resume()
    table = Run(recorder.path).table("primary")
    assert len(paused) == 1
    assert list(table["seq_num"]) == [1]
    assert table["link_n_z"][0] >= 4e5


def test_a_foreign_client_finds_the_models_at_the_reported_addresses(bench):
    manager = pyvisa.ResourceManager("@py")
    for role, report in bench.devices.items():
        if report.address.startswith("TCPIP"):
            device = manager.open_resource(report.address, read_termination="\n", write_termination="\n")
            word = {"switch": "Polatis", "alice.oscilloscope": "DSA"}.get(role, report.model.split()[-1])
            assert word in device.query("*IDN?")
            device.close()
    manager.close()
