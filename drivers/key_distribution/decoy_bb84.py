"""A decoy-state BB84 link built from the lab's instruments, as one device that measures a key rate.

Source of the experiment: Ji et al., sections 2.2, 2.5 and 4.1. Key and error rates come from the time tags and from the
code that Alice sends; how, is in `qdci_lab.analysis`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, get_args

from ophyd.device import create_device_from_components
from ophyd.utils import LimitError

from drivers.key_distribution.arrival_times import ArrivalTimes
from drivers.key_distribution.bb84_link import Bb84Link
from drivers.key_distribution.click_gaps import ClickGaps
from drivers.key_distribution.link import result_signals
from drivers.key_distribution.link_settings import (
    ClassicalLight,
    Direction,
    Probe,
    Protocol,
    ReceiverWiring,
    Routing,
)
from drivers.key_distribution.transmitter import Transmitter
from qdci_lab.analysis.bb84_result import UNITS
from qdci_lab.errors import AcquisitionError
from qdci_lab.signals import controlled

LOOP_STEPS = 12
LOOP_ARRIVAL_DB = 0.03
LAUNCH_POWER_STEP_DB = 0.1
HINTED = ("n_z", "qber_z", "qber_x", "skr_rusca_2018", "skr_wiesemann_2024")
# Names that links of every protocol have, and what they are here.
ALIASES = {
    "key_rate": "skr_rusca_2018",
    "key_rate_error": "skr_rusca_2018_error",
    "error_rate": "qber_z",
    "error_rate_low": "qber_z_low",
    "error_rate_high": "qber_z_high",
    "detection_rate": "count_rate",
}

Results: Any = create_device_from_components(
    "Results",
    docstring="What a BB84 acquisition comes to, as signals; keys and units are the analysis's own.",
    base_class=Bb84Link,
    **result_signals(UNITS, hinted=HINTED, aliases=ALIASES),
)


class DecoyBb84Link(Results):
    """Alice, a fibre core and Bob as one device: `trigger` acquires until `detections` key-basis detections are sifted.

    `launch_power` brings the classical power in each core to a value, by the attenuator, closed on the power meter's
    tap, and `added_loss` what Alice's attenuator takes beyond what mu asks for, in place of a longer fibre. What links
    of every protocol have are `key_rate` (one decoy, Rusca 2018), `error_rate` (the key basis') and `detection_rate`.
    Settings are the tables of the link in the configuration.
    """

    MODEL = "decoy-state BB84 link"
    ALIASES: ClassVar[Mapping[str, str]] = ALIASES
    KEY_RATE_MEANS: ClassVar[str] = "one-decoy BB84, finite block (Rusca 2018)"
    PARTS: ClassVar[tuple[str, ...]] = (
        "awg", "voa", "switch", "polarization_controller", "detectors", "tagger",
        "laser", "amplifier", "launch_voa", "power_meter",
    )  # fmt: skip
    OPTIONAL_PARTS: ClassVar[tuple[str, ...]] = ("probe_laser", "probe_voa", "probe_power_meter")
    MOVES: ClassVar[Mapping[str, tuple[str, ...]]] = {"launch_power": ("launch_voa",)}
    """Which parts are moved to bring a quantity of the link to a value."""

    launch_power = controlled(
        lambda device: device.measure_launch_power_dbm(),
        lambda device, value: device.close_launch_power_loop(value),
        "dBm",
        limits=lambda device: device.launch_power_range_dbm,
        resolution=LAUNCH_POWER_STEP_DB,
        kind="hinted",
    )
    added_loss = controlled(
        lambda device: device.added_loss_db,
        lambda device, value: device.move_signal_attenuator(value),
        "dB",
        limits=lambda device: device.added_loss_range_db,
        resolution=lambda device: 2.0 * device.voa.attenuation.quantity.resolution,
        kind="hinted",
    )
    gate_width = controlled(
        lambda device: device.settings.receiver.gate_width_ps or 0.0,
        lambda device, value: device.choose_gate_width(value),
        "ps",
        precision=0,
        limits=lambda device: (0.0, device.settings.period_ps),
        resolution=0.0,
    )
    projected_block = controlled(
        lambda device: device.settings.projected_n_z or 0.0,
        lambda device, value: setattr(
            device, "settings", replace(device.settings, projected_n_z=value or None)
        ),
        "count",
        limits=(0.0, 1e15),
        resolution=0.0,
    )

    def __init__(
        self,
        *,
        name: str,
        devices: Mapping[str, Any],
        transmitter: Transmitter,
        protocol: Protocol,
        receiver: ReceiverWiring,
        classical: ClassicalLight,
        routing: Routing,
        probe: Probe | None = None,
        expected_sifted_rate_hz: float = 5e5,
        **kwargs: Any,
    ) -> None:
        self.classical = classical
        self.routing = routing
        self.probe = probe
        super().__init__(
            name=name, devices=devices, transmitter=transmitter, protocol=protocol, receiver=receiver,
            expected_sifted_rate_hz=expected_sifted_rate_hz, **kwargs,
        )  # fmt: skip
        kinds = {"arrivals": ArrivalTimes, "gaps": ClickGaps}
        self.arrivals, self.gaps = (
            kind(
                name=f"{name}_{key}",
                label=f"{key} at {self.tagger.label}",
                tagger=self.tagger,
                settings=self.settings,
            )
            for key, kind in kinds.items()
        )

    def connect(self) -> None:
        """Read every quantity of the link and of what studies its clicks once."""
        super().connect()
        self.arrivals.connect()
        self.gaps.connect()

    @property
    def added_loss_db(self) -> float:
        """What Alice's attenuator takes beyond the attenuation for mu."""
        return round(float(self.voa.attenuation.get()) - self.signal_attenuation_db, 3)

    @property
    def added_loss_range_db(self) -> tuple[float, float]:
        """What the added loss may be set to: as far as Alice's attenuator goes."""
        return (0.0, round(float(self.voa.attenuation.limits[1]) - self.signal_attenuation_db, 3))

    @property
    def launch_power_range_dbm(self) -> tuple[float, float]:
        """What the launch power may be set to."""
        return (self.classical.launch_power_min_dbm, self.classical.launch_power_max_dbm)

    def check_core(self, core: int) -> None:
        """LimitError for a core that the optical switch does not lead to."""
        cores = len(self.routing.core_input_ports)
        if not 1 <= core <= cores:
            raise LimitError(f"{self.switch.label}: core {core} is outside the bounds of 1 to {cores}")

    def check_probe(self) -> Probe:
        """The ports of the probe; LimitError for a testbed without one."""
        if self.probe is None or None in (self.probe_laser, self.probe_voa, self.probe_power_meter):
            raise LimitError(
                f"{self.label}: the testbed has no probe laser, attenuator and power meter at its switch "
                f"(in lab.toml: [link.probe] and {', '.join(self.OPTIONAL_PARTS)} of [link.devices])"
            )
        return self.probe

    def check_direction(self, direction: str) -> None:
        """LimitError for classical light that the optical switch cannot send in this direction."""
        if direction not in get_args(Direction):
            raise LimitError(f"{self.switch.label}: direction {direction!r} is none of {get_args(Direction)}")
        if not self.routing.classical_ports:
            raise LimitError(
                f"{self.switch.label}: on this bench the switch does not lead the classical light "
                "(in lab.toml: classical_ports and far_end_ports of [link.routing])"
            )

    def connections(self, core: int, *, detour: bool = False, direction: Direction = "counter") -> Any:
        """The optical switch's connections with the link on a core (LimitError), by a detour through the probe VOA.

        Where the switch leads the classical light, too, it goes into the other cores in the `direction` given.
        """
        self.check_core(core)
        into, (out, receiver) = self.routing.routes(core)
        classical = self.routing.classical_routes(core, direction)
        if not detour:
            return self.routed([*classical, into, (out, receiver)])
        probe = self.check_probe()
        return self.routed([*classical, into, (out, probe.voa_input_port), (probe.voa_output_port, receiver)])

    def routed(self, routes: Sequence[tuple[int, int]]) -> Any:
        """The optical switch's connections as last known with these (ingress, egress) made; others stay."""
        value = self.switch.connections.last
        for ingress, egress in routes:
            value = self.switch.with_route(ingress, egress, connections=value)
        return value

    def light_on(self, core: int = 1) -> tuple[tuple[Any, Any], ...]:
        """What must be set to what, in this order, for quantum light to reach Bob, and no other."""
        return (
            *self.launch_voa.blocking(),
            (self.switch.connections, self.connections(core)),
            (self.voa.attenuation, self.signal_attenuation_db),
            (self.awg, self.waveforms()),
            *self.voa.passing(),
        )

    def move_signal_attenuator(self, added_loss_db: float) -> None:
        """Attenuate the signal beyond mu; only the worker calls this."""
        wanted_db = round(self.signal_attenuation_db + added_loss_db, 3)
        self.voa.attenuation.set(wanted_db).wait(timeout=self.voa.patience_s)

    def choose_gate_width(self, width_ps: float) -> None:
        """Accept clicks within this width about the pulses' arrival; 0 accepts the whole period."""
        receiver = replace(self.settings.receiver, gate_width_ps=width_ps or None)
        self.settings = replace(self.settings, receiver=receiver)

    def measure_launch_power_dbm(self) -> float:
        """Power into each classical core in dBm, from the tap."""
        return float(self.power_meter.power.get()) + self.classical.tap_to_launch_db

    def close_launch_power_loop(self, wanted_dbm: float) -> None:
        """Move the launch attenuator until the tap says the launch power; AcquisitionError if it never does."""
        attenuation = self.launch_voa.attenuation
        excess_db = self.measure_launch_power_dbm() - wanted_dbm
        for _ in range(LOOP_STEPS):
            if abs(excess_db) <= LOOP_ARRIVAL_DB:
                return
            if not math.isfinite(excess_db):
                raise AcquisitionError(
                    f"{self.power_meter.label}: no light at the tap, so the launch power is unknown"
                )
            wanted_db = round(attenuation.last + excess_db, 3)
            attenuation.set(wanted_db).wait(timeout=self.launch_voa.patience_s)
            excess_db = self.measure_launch_power_dbm() - wanted_dbm
        raise AcquisitionError(
            f"{self.launch_voa.label}: launch power still {excess_db:+.3f} dB off {wanted_dbm:g} dBm "
            f"after {LOOP_STEPS} corrections"
        )
