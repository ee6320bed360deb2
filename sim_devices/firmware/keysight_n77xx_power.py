"""READ and FETCh of the N77xx family: optical power from one port or from all ports at once.

Reference: Keysight N77xx Series Programming Guide, chapter 4, "Measurement Functions". One port answers in the unit
that the user chose; all ports together answer in watts, as little-endian 32-bit floats or as a quoted list.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from sim_devices.firmware.keysight_n77xx import N77xx
from sim_devices.firmware.keysight_n77xx_values import real, stat_limits
from sim_devices.firmware.scpi_message import plain_text
from sim_devices.firmware.scpi_tree import Handler, Request
from sim_devices.firmware.scpi_values import PowerUnit, arguments, choice, definite_block, integer


class PowerMeter(Protocol):
    """An instrument with power sensors in some of its slots."""

    def module(self, request: Request) -> int:
        """First slot of the module that a request addresses."""
        ...

    def meter_ports(self) -> Sequence[int]:
        """First slot of every module that measures power, ascending."""
        ...

    def read_power_w(self, ports: Sequence[int]) -> list[float]:
        """Trigger a measurement on each port, wait for its end, and give the powers."""
        ...

    def fetch_power_w(self, ports: Sequence[int]) -> list[float]:
        """The most recent power of each port, measured without a new trigger."""
        ...

    def displayed(self, port: int, power_w: float) -> float:
        """A power in the unit, and relative to the reference, that the user chose for a port."""
        ...


def power_commands(meter: PowerMeter) -> dict[str, Handler]:
    """The READ and FETCh commands of an instrument."""
    table: dict[str, Handler] = {}
    for root, measure in (("READ", meter.read_power_w), ("FETCh", meter.fetch_power_w)):

        def one(request: Request, measure=measure) -> str:
            arguments(request, 0)
            port = meter.module(request)
            (power_w,) = measure([port])
            return real(meter.displayed(port, power_w))

        def every(request: Request, measure=measure) -> bytes:
            arguments(request, 0)
            return definite_block(np.array(measure(meter.meter_ports()), "<f4").tobytes())

        def listed(request: Request, measure=measure) -> str:
            arguments(request, 0)
            return '"' + ", ".join(real(power_w) for power_w in measure(meter.meter_ports())) + '"'

        def layout(request: Request) -> bytes:
            arguments(request, 0)
            return definite_block(np.array([(port, 1) for port in meter.meter_ports()], "<u2").tobytes())

        node = f":{root}[n][:CHANnel[m]][:SCALar]:POWer[:DC]"
        table |= {
            f"{node}?": one,
            f"{node}:ALL?": every,
            f"{node}:ALL:CSV?": listed,
            f"{node}:ALL:CONFig?": layout,
        }
    return table


def power_unit_commands(instrument: N77xx[Any], pattern: str) -> dict[str, Handler]:
    """Command and query of the power unit: DBM or 0, W, Watt or 1; the answer is 0 or +1."""

    def parse(token: bytes) -> PowerUnit:
        text = plain_text(token)
        if text[:1].isdigit() or text[:1] in "+-":
            return PowerUnit(integer(token, stat_limits(0, 1, 0)))
        return PowerUnit.DBM if choice(token, "DBM", "W", "WATT") == "DBM" else PowerUnit.WATT

    def answer(request: Request) -> str:
        return "0" if instrument.of(request, 0).power_unit is PowerUnit.DBM else "+1"

    return {pattern: instrument.one(instrument.planned("power_unit", parse)), pattern + "?": answer}


def unit_list_command(instrument: N77xx[Any]) -> dict[str, Handler]:
    """The power units of all ports, each followed by a comma as in the guide's example."""

    def answer(request: Request) -> str:
        arguments(request, 0)
        return "".join(f"{state.power_unit.value}," for state in instrument.state.values())

    return {":SENSe[n][:CHANnel[m]]:POWer:UNIT:ALL:CSV?": answer}
