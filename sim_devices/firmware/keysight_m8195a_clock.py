"""Reference clock and clock output of the M8195A: remembered and reported, without effect on the signals.

Reference: Keysight M8195A Revision 2 User's Guide, sections 6.13 and 6.15. Every reference is there (assumed).
"""

from collections.abc import Callable

from sim_devices.firmware.keysight_m8195a_setup import REFERENCE_HZ, Setup, bit, number_query
from sim_devices.firmware.scpi_errors import HEADER_SUFFIX_OUT_OF_RANGE, ScpiError
from sim_devices.firmware.scpi_tree import Handler, Request
from sim_devices.firmware.scpi_values import FREQUENCY_HZ, Limits, arguments, bare, choice, integer, limited

_REFERENCES = ("EXTernal", "AXI", "INTernal")
_RANGES = ("RANG1", "RANG2", "RANG3")
_OUTPUTS = ("INTernal", "EXTernal", "SCLK1", "SCLK2")
_DIVIDERS = Limits(1, 2**15, 1)  # assumed


def clock_commands(setup: Callable[[], Setup]) -> dict[str, Handler]:
    """The commands of :ROSCillator and :OUTPut:ROSCillator."""

    def keyword(field: str, keywords: tuple[str, ...]) -> Handler:
        def store(request: Request) -> None:
            (token,) = arguments(request, 1)
            setattr(setup(), field, choice(token, *keywords))

        return store

    def set_frequency(request: Request) -> None:
        (token,) = arguments(request, 1)
        setup().reference_hz = limited(token, REFERENCE_HZ, FREQUENCY_HZ)

    def set_sample_divider(request: Request) -> None:
        (token,) = arguments(request, 1)
        setup().sample_clock_divider = integer(token, _DIVIDERS)

    def set_reference_divider(request: Request) -> None:
        (token,) = arguments(request, 1)
        setup().reference_dividers[_index(request)] = integer(token, _DIVIDERS)

    source, output = "[:SOURce]:ROSCillator", ":OUTPut:ROSCillator"
    return {
        f"{source}:SOURce": keyword("reference", _REFERENCES),
        f"{source}:SOURce?": bare(lambda: setup().reference),
        f"{source}:SOURce:CHECk?": _check,
        f"{source}:FREQuency": set_frequency,
        f"{source}:FREQuency?": number_query(lambda _: setup().reference_hz, REFERENCE_HZ),
        f"{source}:RANGe": keyword("reference_range", _RANGES),
        f"{source}:RANGe?": bare(lambda: setup().reference_range),
        f"{output}:SOURce": keyword("clock_output", _OUTPUTS),
        f"{output}:SOURce?": bare(lambda: setup().clock_output),
        f"{output}:SCD": set_sample_divider,
        f"{output}:SCD?": bare(lambda: str(setup().sample_clock_divider)),
        f"{output}:RCD<k>": set_reference_divider,
        f"{output}:RCD<k>?": lambda request: str(setup().reference_dividers[_index(request)]),
    }


def _check(request: Request) -> str:
    (token,) = arguments(request, 1)
    return bit(bool(choice(token, *_REFERENCES)))


def _index(request: Request) -> int:
    index = request.suffixes["k"]
    if index not in (1, 2):
        raise ScpiError(HEADER_SUFFIX_OUT_OF_RANGE)
    return index - 1
