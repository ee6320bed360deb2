"""Commands and queries of settings that are fields of an object, and of SCPI status registers.

Reference: SCPI-1999 volume 1, chapter 7 (MINimum, MAXimum, DEFault), and volume 2, chapter 20 (STATus registers).
"""

from collections.abc import Callable

from sim_devices.firmware.scpi_errors import ILLEGAL_PARAMETER_VALUE, ScpiError
from sim_devices.firmware.scpi_message import plain_text
from sim_devices.firmware.scpi_status import EventRegister
from sim_devices.firmware.scpi_tree import Handler, Request
from sim_devices.firmware.scpi_values import (
    NO_UNIT,
    Limits,
    Units,
    arguments,
    bare,
    boolean,
    choice,
    exact_nr3,
    integer,
    limited,
    string,
)

Target = Callable[[Request], object]
"""Finds the object that a request is about; raises ScpiError for a suffix that leads nowhere."""

Bounds = Limits | Callable[[Request], Limits]
"""Limits that are fixed, or that depend on the request or the present settings."""

MASK = Limits(0, 0xFFFF, 0)


def bit(value: bool) -> str:
    """A boolean as response data."""
    return "1" if value else "0"


def whole(value: float) -> str:
    """An integer as response data."""
    return str(round(value))


def quoted(text: str) -> str:
    """A string as response data."""
    return '"' + text.replace('"', '""') + '"'


def no_change() -> None:
    """What happens after a change that nobody has to know of."""


def number_setting(
    pattern: str,
    target: Target,
    field: str,
    bounds: Bounds,
    units: Units = NO_UNIT,
    *,
    show: Callable[[float], str] = exact_nr3,
    keep: Callable[[float], float] = float,
    changed: Callable[[], None] = no_change,
) -> dict[str, Handler]:
    """A number within bounds, kept as `keep` rounds it; command and query know MINimum, MAXimum and DEFault."""

    def store(request: Request) -> None:
        (token,) = arguments(request, 1)
        setattr(target(request), field, keep(limited(token, _limits(bounds, request), units)))
        changed()

    def answer(request: Request) -> str:
        return show(asked(request, _limits(bounds, request), getattr(target(request), field)))

    return {pattern: store, pattern + "?": answer}


def switch_setting(
    pattern: str, target: Target, field: str, *, changed: Callable[[], None] = no_change
) -> dict[str, Handler]:
    """ON or OFF."""

    def store(request: Request) -> None:
        (token,) = arguments(request, 1)
        setattr(target(request), field, boolean(token))
        changed()

    def answer(request: Request) -> str:
        arguments(request, 0)
        return bit(getattr(target(request), field))

    return {pattern: store, pattern + "?": answer}


def choice_setting(
    pattern: str, target: Target, field: str, *keywords: str, changed: Callable[[], None] = no_change
) -> dict[str, Handler]:
    """One of several keywords, kept and answered in its short form."""

    def store(request: Request) -> None:
        (token,) = arguments(request, 1)
        setattr(target(request), field, choice(token, *keywords))
        changed()

    def answer(request: Request) -> str:
        arguments(request, 0)
        return str(getattr(target(request), field))

    return {pattern: store, pattern + "?": answer}


def text_setting(pattern: str, target: Target, field: str) -> dict[str, Handler]:
    """A quoted string."""

    def store(request: Request) -> None:
        (token,) = arguments(request, 1)
        setattr(target(request), field, string(token))

    def answer(request: Request) -> str:
        arguments(request, 0)
        return quoted(getattr(target(request), field))

    return {pattern: store, pattern + "?": answer}


def constant(text: str, most: int = 0) -> Handler:
    """A query with up to `most` parameters that make no difference to the answer."""

    def answer(request: Request) -> str:
        arguments(request, 0, most)
        return text

    return answer


def ignored(most: int = 0) -> Handler:
    """A command with up to `most` parameters, whose effect nobody sees."""

    def accept(request: Request) -> None:
        arguments(request, 0, most)

    return accept


def asked(request: Request, limits: Limits, present: float) -> float:
    """The present value, or the bound that the query's only parameter names; -224 for another parameter."""
    parameters = arguments(request, 0, 1)
    if not parameters:
        return present
    named = limits.named(plain_text(parameters[0]))
    if named is None:
        raise ScpiError(ILLEGAL_PARAMETER_VALUE)
    return named


def register_commands(
    node: str,
    register: EventRegister,
    refresh: Callable[[], None],
    *,
    show: Callable[[float], str] = whole,
) -> dict[str, Handler]:
    """Event, condition, enable mask and transition filters of one register; `refresh` brings it up to date."""

    def event() -> str:
        refresh()
        return show(register.read_event())

    def condition() -> str:
        refresh()
        return show(register.condition)

    def mask(field: str) -> Handler:
        def store(request: Request) -> None:
            (token,) = arguments(request, 1)
            setattr(register, field, integer(token, MASK))

        return store

    return {
        f"{node}[:EVENt]?": bare(event),
        f"{node}:CONDition?": bare(condition),
        f"{node}:ENABle": mask("enable"),
        f"{node}:ENABle?": bare(lambda: show(register.enable)),
        f"{node}:PTRansition": mask("positive"),
        f"{node}:PTRansition?": bare(lambda: show(register.positive)),
        f"{node}:NTRansition": mask("negative"),
        f"{node}:NTRansition?": bare(lambda: show(register.negative)),
    }


def _limits(bounds: Bounds, request: Request) -> Limits:
    return bounds if isinstance(bounds, Limits) else bounds(request)
