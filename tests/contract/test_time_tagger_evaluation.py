"""The driver's counters, histograms, g(2) and filters against the library's stand-in, each written from the header.

Two detectors with dark counts alone: independent Poisson processes of 20 000 counts/s, whose waiting times,
coincidences and g(2) are known. Seeds are fixed; bounds are five standard deviations or more (false alarms below 1e-6).
"""

import math
import shutil
import tomllib
from collections.abc import Iterator

import numpy as np
import pytest

from drivers.time_tagger.qutag import QuTag
from qdci_lab.clock import LabClock
from qdci_lab.errors import InstrumentError, LocalProtocolError, TransportError
from sim_devices.bench import Bench as WholeBench
from sim_devices.firmware.qutag import Qutag
from sim_devices.server.control import ControlServer, TaggerPort
from sim_devices.twin.layout import ComponentSpec, Layout, Link, PortAddress
from sim_devices.twin.twin import Twin

RATE_HZ = 20_000.0


class Bench:
    """What the control server needs of a bench: two detectors on inputs 1 and 2 of a tagger."""

    def __init__(self, generation: int) -> None:
        parameters = {
            "efficiency": 0.1,
            "dark_rate_hz": RATE_HZ,
            "dead_time_ns": 0.0,
            "afterpulse_probability": 0.0,
        }
        detectors = ComponentSpec(
            "single_photon_detectors",
            {**parameters, "number": 2, "afterpulse_time_us": 1.0, "jitter_ps": 0.0},
        )
        tagger = ComponentSpec("time_tagger", {"channel_delays_ps": (0.0, 0.0)})
        links = tuple(Link(PortAddress("detectors", n), PortAddress("tagger", n)) for n in ("1", "2"))
        self.twin = Twin(Layout(3, {"detectors": detectors, "tagger": tagger}, links))
        self.lab_time = self.twin.lab_time
        inputs, tags = {"inputs": self.twin.handle("tagger")}, self.twin.tagger("tagger")
        self.port = TaggerPort(Qutag(inputs, serial_number="1", tags=tags, generation=generation))

    def tagger(self, _device: str) -> TaggerPort:
        return self.port

    def hello(self) -> dict[str, object]:
        return {}

    def stop_device(self, name: str) -> str:
        return name

    start_device = stop_device

    def ask_to_stop(self) -> None:
        """Nobody serves."""


@pytest.fixture(params=[1, 2], ids=["first", "second"])
def tagger(request) -> Iterator[QuTag]:
    server = ControlServer(Bench(request.param))
    server.start()
    query = f"control={server.address}&device=bob.tagger&generation={request.param}"
    device = QuTag(
        f"c_api+python:sim_devices.server.c_api:function_table?{query}",
        name="tagger",
        clock=LabClock(server.address),
        channels=[1, 2],
        generation=request.param,
        on_data_loss="record",
    )
    device.connect()
    yield device
    device.disconnect()
    server.close()


def worked(tagger: QuTag, work):
    """What work on the tagger's own thread gives."""
    results = []
    tagger.submit(lambda status: results.append(work(status))).wait(timeout=60)
    return results[0]


def test_both_generations_take_tags(tagger):
    tagger.acquisition_time.set(0.5).wait(timeout=20)
    tagger.trigger().wait(timeout=60)
    rates_hz = tagger.count_rates.get()
    assert rates_hz.shape == ({1: 4, 2: 32}[tagger.generation],)
    np.testing.assert_allclose(rates_hz[:2], RATE_HZ, atol=5 * math.sqrt(RATE_HZ / 0.5))
    assert not rates_hz[2:].any()
    assert tagger.channel_mask.get() == 0b110


def test_settings_of_each_input_come_back(tagger):
    delays_ps = [100 * number for number in tagger.inputs]
    tagger.channel_delays.set(delays_ps).wait(timeout=20)
    thresholds_v = [0.01 * number for number in tagger.inputs]
    tagger.thresholds.set(thresholds_v).wait(timeout=20)
    assert tuple(tagger.channel_delays.get()) == tuple(delays_ps)
    np.testing.assert_allclose(tagger.thresholds.get(), thresholds_v, atol=0.00147 / 2)


def test_start_stop_is_exponential_and_g2_flat(tagger):
    """After a start the next event of the other input comes with rate r, unless another start comes first."""
    bins, width_ps, duration_s = 50, 1_000_000, 3.0
    forward, own = worked(
        tagger,
        lambda status: tagger.measure_start_stop(
            [(1, 2), (2, 2)], bin_width_ps=width_ps, bins=bins, duration_s=duration_s, status=status
        ),
    )
    edges_s = np.arange(bins + 1) * width_ps * 1e-12
    for found, decay_hz in ((forward, 2 * RATE_HZ), (own, RATE_HZ)):
        share = np.exp(-decay_hz * edges_s[:-1]) - np.exp(-decay_hz * edges_s[1:])
        expected = RATE_HZ * duration_s * share * RATE_HZ / decay_hz
        assert np.abs(found.counts - expected).max() < 5.5 * math.sqrt(expected[0])
        assert found.exposure_ps == pytest.approx(3e12, rel=1e-3)
        assert abs(found.stops - RATE_HZ * duration_s) < 5 * math.sqrt(RATE_HZ * duration_s)
    g2 = worked(
        tagger,
        lambda status: tagger.measure_g2((1, 2), bin_width_ps=8000, bins=2000, duration_s=2.0, status=status),
    )
    pairs_in_bin = RATE_HZ**2 * 2.0 * 8e-9
    assert (g2.values.size, g2.delays_ps[0], g2.delays_ps[1999]) == (3999, -1999 * 8000, 0)
    assert abs(g2.values.mean() - 1.0) < 5 / math.sqrt(pairs_in_bin * 3999)
    assert g2.integration_time_s == pytest.approx(2.0, rel=1e-3)
    assert abs(g2.events - 4 * RATE_HZ) < 5 * math.sqrt(4 * RATE_HZ)


def test_counters_and_coincidences(tagger):
    """Accidentals: a coincidence opens with any event and holds another of the other input within the window."""
    tagger.exposure_time.set(1.0).wait(timeout=20)
    tagger.coincidence_window.set(1_000_000).wait(timeout=20)
    tagger.acquisition_time.set(1.2).wait(timeout=20)
    tagger.trigger().wait(timeout=60)
    counts = tagger.coincidence_counts.get()
    singles = {1: 5, 2: 33}[tagger.generation]
    assert counts.size == {1: 31, 2: 59}[tagger.generation]
    assert np.abs(counts[1:3] - RATE_HZ).max() < 5 * math.sqrt(RATE_HZ)
    expected = 2 * RATE_HZ**2 * 1e-6
    assert (
        abs(counts[singles] - expected) < 5 * math.sqrt(expected) + 0.05 * expected
    )  # the window is not short
    assert not counts[singles + 1 :].any()


def test_a_muted_input_sends_no_tags_and_is_counted(tagger):
    worked(tagger, lambda _status: tagger.apply_filter(2, "mute"))
    assert worked(tagger, lambda _status: tagger.api.evaluation.filter(2)) == ("mute", ())
    worked(tagger, lambda _status: tagger.apply_filter(1, "sync", [3, 5]))
    assert worked(tagger, lambda _status: tagger.api.evaluation.filter(1)) == ("sync", (3, 5))
    worked(tagger, lambda _status: tagger.apply_filter(1, "none"))
    tagger.exposure_time.set(0.1).wait(timeout=20)
    tagger.acquisition_time.set(0.3).wait(timeout=20)
    tagger.trigger().wait(timeout=60)
    assert tagger.count_rates.get()[1] == 0
    assert tagger.coincidence_counts.get()[2] > 0


def test_dead_times_belong_to_the_first_generation(tagger):
    dead_times_ps = [1000 * number for number in tagger.inputs]
    if tagger.generation == 1:
        worked(tagger, lambda _status: tagger.apply_dead_times(dead_times_ps))
        assert tuple(tagger.dead_times.get()) == tuple(dead_times_ps)
    else:
        with pytest.raises(TransportError, match="no function TDC_setDeadTime"):
            worked(tagger, lambda _status: tagger.apply_dead_times(dead_times_ps))


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (
            lambda t: t.measure_start_stop([(1, 2)], bin_width_ps=0, bins=10, duration_s=1),
            "bin width in ps of 0",
        ),
        (
            lambda t: t.measure_start_stop([(1, 99)], bin_width_ps=1, bins=10, duration_s=1),
            "stop channel of 99",
        ),
        (lambda t: t.measure_g2((1, 2), bin_width_ps=1, bins=15, duration_s=1), "number of bins of 15"),
        (lambda t: t.apply_filter(0, "mute"), "filtered channel of 0"),
        (lambda t: t.apply_filter(1, "sync"), "needs the channels"),
    ],
)
def test_bad_values_never_reach_the_library(tagger, work, said):
    with pytest.raises(LocalProtocolError, match=said):
        worked(tagger, lambda _status: work(tagger))


def test_a_testbed_says_the_generation(testbed_folder, tmp_path):
    """twin.toml: generation = 2; the address that the bench reports leads to the second library."""
    folder = shutil.copytree(testbed_folder, tmp_path / "bed")
    text = (folder / "twin.toml").read_text(encoding="utf-8")
    wanted = text.replace('firmware = "qutag"', 'firmware = "qutag"\ngeneration = 2')
    (folder / "twin.toml").write_text(wanted, encoding="utf-8")
    others = [name for name in tomllib.loads(text)["instruments"] if name != "bob.tagger"]
    with WholeBench(folder, without=others) as bench:
        device = QuTag(
            bench.devices["bob.tagger"].address,
            name="tagger",
            clock=LabClock(bench.control_address),
            generation=2,
        )
        device.connect()
        assert len(device.channel_delays.get()) == 32
        device.disconnect()


def test_the_librarys_refusal_is_told_in_its_words(tagger):
    with pytest.raises(InstrumentError, match=r"error 13.*not enabled.*TDC_calcHbtG2"):
        worked(tagger, lambda _status: tagger.api.evaluation.g2((1, 2), 256))
