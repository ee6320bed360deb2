"""What an OZ Optics EPC-400 understands (serial commands of the EPC-Driver, as the public QMI driver has them).

Every command has a reply of a line and the mark `Done`, or `Error!` where it was refused. Voltages are whole
millivolts; four squeezers, numbered from 1.
"""

import re
from collections.abc import Collection, Sequence

from qdci_lab.errors import InstrumentError, LocalProtocolError, RemoteProtocolError
from qdci_lab.wire.message import Query

CHANNELS = (1, 2, 3, 4)
MAX_VOLTAGE_V = 5.0
DONE, REFUSED = b"Done", b"Error!"
NO_CODE = -1

_SET = re.compile(r"Set CH(\d) DC Voltage at:\s*([+-]?\d+)\s*mV")
_ALL = re.compile(r"CH(\d)\s*([+-]?\d+)")


def voltages() -> Query[tuple[float, ...]]:
    """`V?`: the voltages of the four channels in V."""
    return Query.text("V?", _voltages)


def set_voltage(channel: int, voltage_v: float) -> Query[None]:
    """`V<channel>,<mV>`: one channel's voltage, to the nearest millivolt."""
    if channel not in CHANNELS:
        raise LocalProtocolError(f"there is no channel {channel}: the channels are 1 to 4")
    if not -MAX_VOLTAGE_V <= voltage_v <= MAX_VOLTAGE_V:
        raise LocalProtocolError(f"channel {channel}: {voltage_v:g} V is beyond +-{MAX_VOLTAGE_V:g} V")
    millivolts = round(voltage_v * 1000.0)

    def confirm(reply: bytes) -> None:
        match = _SET.search(_accepted(reply))
        if match is None or (int(match[1]), int(match[2])) != (channel, millivolts):
            raise RemoteProtocolError(f"expected channel {channel} at {millivolts} mV, got {reply!r}")

    return Query.text(f"V{channel},{millivolts}", confirm)


def set_voltages(voltages_v: Sequence[float]) -> tuple[Query[None], ...]:
    """One message a channel; LocalProtocolError, before any is sent, unless there are four voltages."""
    if not isinstance(voltages_v, Collection) or len(voltages_v) != len(CHANNELS):
        raise LocalProtocolError(
            f"a voltage in V for each of {len(CHANNELS)} channels is wanted, not {voltages_v!r}"
        )
    return tuple(
        set_voltage(channel, float(voltage_v))
        for channel, voltage_v in zip(CHANNELS, voltages_v, strict=True)
    )


def choose_dc() -> Query[None]:
    """`MDC`: constant voltages, where AC mode would scramble."""
    return Query.text("MDC", _confirm_dc)


def work_mode() -> Query[str]:
    """`M?`: `DC`, or `AC(Sine)` and the like."""
    return Query.text("M?", _work_mode)


def _accepted(reply: bytes) -> str:
    """The reply's text before its mark; a refusal is an InstrumentError."""
    if reply.endswith(REFUSED):
        words = reply.removesuffix(REFUSED).decode("ascii", "replace").strip()
        raise InstrumentError(NO_CODE, words or REFUSED.decode())
    return reply.removesuffix(DONE).decode("ascii", "replace").strip()


def _voltages(reply: bytes) -> tuple[float, ...]:
    found = {int(channel): int(millivolts) / 1000.0 for channel, millivolts in _ALL.findall(_accepted(reply))}
    if tuple(sorted(found)) != CHANNELS:
        raise RemoteProtocolError(f"expected the voltages of four channels, got {reply!r}")
    return tuple(found[channel] for channel in CHANNELS)


def _confirm_dc(reply: bytes) -> None:
    if "Set To DC Mode" not in _accepted(reply):
        raise RemoteProtocolError(f"expected DC mode, got {reply!r}")


def _work_mode(reply: bytes) -> str:
    _, found, mode = _accepted(reply).rpartition("Work Mode:")
    if not found:
        raise RemoteProtocolError(f"expected the work mode, got {reply!r}")
    return mode.strip()
