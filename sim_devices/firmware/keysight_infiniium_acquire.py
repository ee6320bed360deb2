"""The :ACQuire subsystem of an Infiniium.

Reference: Keysight Infiniium Oscilloscopes Programmer's Guide, ":ACQuire Commands". :TESTLIMITS? is not in the guide;
its reply is the one that public drivers read.
"""

from collections.abc import Callable

from sim_devices.firmware.keysight_infiniium_acquisition import FEWEST_POINTS, Sampling
from sim_devices.firmware.keysight_infiniium_setup import (
    AVERAGES,
    BANDWIDTH_HZ,
    SAMPLE_RATE_HZ,
    SEGMENTS,
    AcquireSetup,
    nr3,
)
from sim_devices.firmware.scpi_errors import ILLEGAL_PARAMETER_VALUE, ScpiError
from sim_devices.firmware.scpi_message import plain_text
from sim_devices.firmware.scpi_settings import bit, choice_setting, number_setting, switch_setting, whole
from sim_devices.firmware.scpi_tree import Handler, Request
from sim_devices.firmware.scpi_values import (
    FREQUENCY_HZ,
    NO_UNIT,
    Limits,
    Units,
    arguments,
    bare,
    boolean,
    limited,
)

_MODES = (
    "ETIMe",
    "RTIMe",
    "PDETect",
    "HRESolution",
    "SEGMented",
    "SEGPdetect",
    "SEGHres",
)
_INTERPOLATIONS = ("0", "1", "INT1", "INT2", "INT4", "INT8", "INT16", "INT32")
_COMPLETE_PERCENT = Limits(0, 100, 90)


class AcquireSubsystem:
    """Commands about sampling; `setup` gives the present settings, `sampling` what they come to."""

    def __init__(
        self, setup: Callable[[], AcquireSetup], sampling: Callable[[], Sampling], memory_points: int
    ) -> None:
        self._setup = setup
        self._sampling = sampling
        self._points = Limits(FEWEST_POINTS, memory_points, memory_points)

    def commands(self) -> dict[str, Handler]:
        """The commands of the subsystem."""
        node = ":ACQuire"
        return {
            **self._points_commands(f"{node}:POINts[:ANALog]"),
            **self._rate_commands(f"{node}:SRATe[:ANALog]"),
            **self._bandwidth_commands(f"{node}:BANDwidth"),
            **choice_setting(f"{node}:MODE", self._own, "mode", *_MODES),
            **switch_setting(f"{node}:AVERage[:STATe]", self._own, "averaging"),
            **number_setting(
                f"{node}:AVERage:COUNt", self._own, "averages", AVERAGES, show=whole, keep=round
            ),
            **number_setting(f"{node}:COUNt", self._own, "averages", AVERAGES, show=whole, keep=round),
            **number_setting(
                f"{node}:COMPlete", self._own, "complete_percent", _COMPLETE_PERCENT, show=whole, keep=round
            ),
            **switch_setting(f"{node}:COMPlete:STATe", self._own, "complete"),
            **number_setting(
                f"{node}:SEGMented:COUNt", self._own, "segments", SEGMENTS, show=whole, keep=round
            ),
            **number_setting(
                f"{node}:SEGMented:INDex", self._own, "segment", Limits(1, 65_536, 1), show=whole, keep=round
            ),
            f"{node}:INTerpolate": self._set_interpolation,
            f"{node}:INTerpolate?": bare(lambda: self._setup().interpolation),
        }

    def _own(self, request: Request) -> AcquireSetup:
        del request
        return self._setup()

    def _points_commands(self, node: str) -> dict[str, Handler]:
        def store(request: Request) -> None:
            points = self._chosen(request, self._points, NO_UNIT)
            self._setup().points = None if points is None else round(points)

        def set_auto(request: Request) -> None:
            (token,) = arguments(request, 1)
            self._setup().points = None if boolean(token) else self._sampling().points

        return {
            node: store,
            f"{node}?": bare(lambda: str(self._sampling().points)),
            f"{node}:AUTO": set_auto,
            f"{node}:AUTO?": bare(lambda: bit(self._setup().points is None)),
            f"{node}:TESTLimits?": bare(
                lambda: f"1,<numeric>{self._points.minimum:.0f}:{self._points.maximum:.0f}"
            ),
        }

    def _rate_commands(self, node: str) -> dict[str, Handler]:
        def store(request: Request) -> None:
            units = {**FREQUENCY_HZ, "SA/S": FREQUENCY_HZ["HZ"], "GSA/S": FREQUENCY_HZ["GHZ"]}
            self._setup().rate_hz = self._chosen(request, SAMPLE_RATE_HZ, units)

        def set_auto(request: Request) -> None:
            (token,) = arguments(request, 1)
            self._setup().rate_hz = None if boolean(token) else self._sampling().rate_hz

        return {
            node: store,
            f"{node}?": bare(lambda: nr3(self._sampling().rate_hz)),
            f"{node}:AUTO": set_auto,
            f"{node}:AUTO?": bare(lambda: bit(self._setup().rate_hz is None)),
            f"{node}:TESTLimits?": bare(lambda: _test_limits(SAMPLE_RATE_HZ)),
        }

    def _bandwidth_commands(self, node: str) -> dict[str, Handler]:
        def store(request: Request) -> None:
            self._setup().bandwidth_hz = self._chosen(request, BANDWIDTH_HZ, FREQUENCY_HZ)

        return {
            node: store,
            f"{node}?": bare(lambda: nr3(self._setup().bandwidth_hz or BANDWIDTH_HZ.maximum)),
            f"{node}:TESTLimits?": bare(lambda: _test_limits(BANDWIDTH_HZ)),
        }

    def _chosen(self, request: Request, limits: Limits, units: Units) -> float | None:
        """A number, MIN or MAX; None for AUTO."""
        (token,) = arguments(request, 1)
        return None if plain_text(token).upper() == "AUTO" else limited(token, limits, units)

    def _set_interpolation(self, request: Request) -> None:
        (token,) = arguments(request, 1)
        text = {"ON": "1", "OFF": "0"}.get(plain_text(token).upper(), plain_text(token).upper())
        if text not in _INTERPOLATIONS:
            raise ScpiError(ILLEGAL_PARAMETER_VALUE)
        self._setup().interpolation = text


def _test_limits(limits: Limits) -> str:
    return f"1,<numeric>{limits.minimum:.5E}:{limits.maximum:.5E}"
