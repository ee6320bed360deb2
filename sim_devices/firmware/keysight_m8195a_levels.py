"""The :VOLTage and :OUTPut commands of the M8195A: levels and switches of the four connectors.

Reference: Keysight M8195A Revision 2 User's Guide, sections 6.13 and 6.16. HIGH and LOW are two other names for
offset + amplitude / 2 and offset - amplitude / 2.
"""

from collections.abc import Callable

from sim_devices.firmware.keysight_m8195a_setup import (
    AMPLITUDE_V,
    DIFFERENTIAL_OFFSET,
    LEVEL_V,
    ChannelSetup,
    Setup,
    bit,
    channel_command,
    channel_query,
    number_query,
)
from sim_devices.firmware.scpi_tree import Handler
from sim_devices.firmware.scpi_values import NO_UNIT, VOLTAGE_V, Limits, Units, boolean, limited


def level_commands(setup: Callable[[], Setup], changed: Callable[[], None]) -> dict[str, Handler]:
    """The commands; `changed` is called after every change of what the connectors put out."""

    def of(channel: int) -> ChannelSetup:
        return setup().channels[channel]

    def numeric(pattern: str, field: str, limits: Limits, units: Units) -> dict[str, Handler]:
        def store(channel: int, token: bytes) -> None:
            setattr(of(channel), field, limited(token, limits, units))
            changed()

        query = number_query(lambda channel: getattr(of(channel), field), limits)
        return {pattern: channel_command(store), pattern + "?": query}

    def set_high(channel: int, token: bytes) -> None:
        _set_levels(of(channel), _levels(of(channel))[0], limited(token, LEVEL_V, VOLTAGE_V))
        changed()

    def set_low(channel: int, token: bytes) -> None:
        _set_levels(of(channel), limited(token, LEVEL_V, VOLTAGE_V), _levels(of(channel))[1])
        changed()

    def switch(channel: int, token: bytes) -> None:
        of(channel).on = boolean(token)
        changed()

    node = "[:SOURce]:VOLTage[n][:LEVel][:IMMediate]"
    return {
        **numeric(f"{node}[:AMPLitude]", "amplitude_v", AMPLITUDE_V, VOLTAGE_V),
        **numeric(f"{node}:OFFSet", "offset_v", LEVEL_V, VOLTAGE_V),
        **numeric(f"{node}:TERMination", "termination_v", LEVEL_V, VOLTAGE_V),
        **numeric(":OUTPut[n]:DIOFfset", "differential_offset", DIFFERENTIAL_OFFSET, NO_UNIT),
        f"{node}:HIGH": channel_command(set_high),
        f"{node}:HIGH?": number_query(lambda channel: _levels(of(channel))[1], LEVEL_V),
        f"{node}:LOW": channel_command(set_low),
        f"{node}:LOW?": number_query(lambda channel: _levels(of(channel))[0], LEVEL_V),
        ":OUTPut[n][:STATe]": channel_command(switch),
        ":OUTPut[n][:STATe]?": channel_query(lambda channel: bit(of(channel).on)),
    }


def _levels(channel: ChannelSetup) -> tuple[float, float]:
    low_v = channel.offset_v - channel.amplitude_v / 2.0
    return round(low_v, 9), round(low_v + channel.amplitude_v, 9)


def _set_levels(channel: ChannelSetup, low_v: float, high_v: float) -> None:
    channel.amplitude_v = AMPLITUDE_V.check(round(high_v - low_v, 9))
    channel.offset_v = round((high_v + low_v) / 2.0, 9)
