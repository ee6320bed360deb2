"""The :CHANnel, :TIMebase and :TRIGger subsystems of an Infiniium.

Reference: Keysight Infiniium Oscilloscopes Programmer's Guide, chapters of these names. Only the edge trigger is there;
probes, differential pairs and time windows are remembered without effect.
"""

from collections.abc import Callable

from sim_devices.firmware.keysight_infiniium_setup import (
    HOLDOFF_S,
    LEVEL_V,
    OFFSET_V,
    POSITION_S,
    RANGE_V,
    SCALE_V,
    TIME_RANGE_S,
    TIME_SCALE_S,
    ChannelSetup,
    Setup,
    TimebaseSetup,
    TriggerSetup,
    channel_number,
    channel_of,
    nr3,
    source,
)
from sim_devices.firmware.scpi_settings import (
    choice_setting,
    constant,
    number_setting,
    switch_setting,
    text_setting,
)
from sim_devices.firmware.scpi_tree import Handler, Request
from sim_devices.firmware.scpi_values import TIME_S, VOLTAGE_V, Limits, arguments, bare, choice, limited

_PROBE = Limits(1e-4, 1e4, 1.0)
_INPUTS = ("DC50", "DCFifty", "DC", "AC", "LFR1", "LFR2")


def control_commands(setup: Callable[[], Setup]) -> dict[str, Handler]:
    """The commands of the three subsystems on the present settings."""
    return _channel_commands(setup) | _timebase_commands(setup) | _trigger_commands(setup)


def _channel_commands(setup: Callable[[], Setup]) -> dict[str, Handler]:
    def own(request: Request) -> ChannelSetup:
        return setup().channels[channel_number(request)]

    def set_coupling(request: Request) -> None:
        (token,) = arguments(request, 1)
        coupling = choice(token, *_INPUTS)
        own(request).coupling = "DC50" if coupling == "DCF" else coupling

    def coupling(request: Request) -> str:
        arguments(request, 0)
        return own(request).coupling

    node = ":CHANnel<n>"
    return {
        **switch_setting(f"{node}:DISPlay", own, "shown"),
        **number_setting(f"{node}:RANGe", own, "range_v", RANGE_V, VOLTAGE_V, show=nr3),
        **number_setting(f"{node}:SCALe", own, "scale_v", SCALE_V, VOLTAGE_V, show=nr3),
        **number_setting(f"{node}:OFFSet", own, "offset_v", OFFSET_V, VOLTAGE_V, show=nr3),
        **switch_setting(f"{node}:BWLimit", own, "limited"),
        **switch_setting(f"{node}:DIFFerential", own, "differential"),
        **switch_setting(f"{node}:INVert", own, "inverted"),
        **text_setting(f"{node}:LABel", own, "label"),
        **choice_setting(f"{node}:UNITs", own, "units", "VOLT", "AMPere", "WATT", "UNKNown"),
        **number_setting(f"{node}:PROBe", own, "attenuation", _PROBE, show=nr3),
        f"{node}:PROBe:ID?": constant("NONE"),
        f"{node}:INPut": set_coupling,
        f"{node}:INPut?": coupling,
    }


def _timebase_commands(setup: Callable[[], Setup]) -> dict[str, Handler]:
    def own(request: Request) -> TimebaseSetup:
        del request
        return setup().timebase

    node = ":TIMebase"
    return {
        **number_setting(f"{node}:RANGe", own, "range_s", TIME_RANGE_S, TIME_S, show=nr3),
        **number_setting(f"{node}:SCALe", own, "scale_s", TIME_SCALE_S, TIME_S, show=nr3),
        **number_setting(f"{node}:POSition", own, "position_s", POSITION_S, TIME_S, show=nr3),
        **choice_setting(f"{node}:REFerence", own, "reference", "LEFT", "CENTer", "RIGHt"),
        **choice_setting(f"{node}:VIEW", own, "view", "MAIN", "WINDow"),
        **switch_setting(f"{node}:ROLL:ENABle", own, "roll"),
    }


def _trigger_commands(setup: Callable[[], Setup]) -> dict[str, Handler]:
    def own(request: Request) -> TriggerSetup:
        del request
        return setup().trigger

    def set_source(request: Request) -> None:
        (token,) = arguments(request, 1)
        setup().trigger.source = source(token, ("AUX", "LINE"))

    node, edge = ":TRIGger", ":TRIGger[:EDGE]"
    return {
        **choice_setting(f"{node}:MODE", own, "mode", "EDGE"),
        **choice_setting(f"{node}:SWEep", own, "sweep", "AUTO", "TRIGgered", "SINGle"),
        **number_setting(f"{node}:HOLDoff", own, "holdoff_s", HOLDOFF_S, TIME_S, show=nr3),
        f"{edge}:SOURce": set_source,
        f"{edge}:SOURce?": bare(lambda: setup().trigger.source),
        **choice_setting(f"{edge}:SLOPe", own, "slope", "POSitive", "NEGative", "EITHer"),
        **choice_setting(f"{edge}:COUPling", own, "coupling", "DC", "AC", "LFReject", "HFReject"),
        f"{node}:LEVel": lambda request: _set_level(setup(), request),
        f"{node}:LEVel?": lambda request: _level(setup(), request),
        f"{node}:LEVel:FIFTy": lambda request: _center_level(setup(), request),
    }


def _set_level(setup: Setup, request: Request) -> None:
    name, token = arguments(request, 2)
    channel = channel_of(source(name, ("AUX",)))
    level_v = limited(token, LEVEL_V, VOLTAGE_V)
    if channel is None:
        setup.trigger.aux_level_v = level_v
    else:
        setup.channels[channel].trigger_level_v = level_v


def _level(setup: Setup, request: Request) -> str:
    (name,) = arguments(request, 1)
    channel = channel_of(source(name, ("AUX",)))
    return nr3(setup.trigger.aux_level_v if channel is None else setup.channels[channel].trigger_level_v)


def _center_level(setup: Setup, request: Request) -> None:
    """The middle of the screen stands for the middle of the waveform."""
    arguments(request, 0)
    channel = channel_of(setup.trigger.source)
    if channel is not None:
        setup.channels[channel].trigger_level_v = setup.channels[channel].offset_v
