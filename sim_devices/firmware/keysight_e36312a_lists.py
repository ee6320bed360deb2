"""Channel lists of an E36312A: commands and queries about one or several outputs.

Reference: Keysight E36300 Series Programming Guide, "Channels and Channel Lists". The list is the last parameter; the
names CH1 to CH3, P6V, P25V and N25V stand for one output, and without either the selected output is meant.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from sim_devices.firmware.keysight_e36312a_output import Output
from sim_devices.firmware.scpi_errors import DATA_OUT_OF_RANGE, ILLEGAL_PARAMETER_VALUE, ScpiError
from sim_devices.firmware.scpi_message import plain_text
from sim_devices.firmware.scpi_settings import bit
from sim_devices.firmware.scpi_tree import Handler, Request
from sim_devices.firmware.scpi_values import NO_UNIT, Limits, Units, arguments, boolean, channel_list, limited

OUTPUT_NAMES = {"CH1": 1, "CH2": 2, "CH3": 3, "P6V": 1, "P25V": 2, "N25V": 3}

LimitsOf = Callable[[Output], Limits]


class OutputLists:
    """Finds the outputs that a request means; `selected` is the one that :INSTrument chose."""

    def __init__(self, outputs: Mapping[int, Output]) -> None:
        self._outputs = outputs
        self.selected = 1

    def named(self, request: Request) -> tuple[list[int], tuple[bytes, ...]]:
        """The outputs that the last parameter lists, or the selected one, and the other parameters."""
        *rest, last = request.parameters or (b"",)
        if last.lstrip().startswith(b"("):
            numbers = channel_list(last)
        elif plain_text(last).upper() in OUTPUT_NAMES:
            numbers = [OUTPUT_NAMES[plain_text(last).upper()]]
        else:
            return [self.selected], request.parameters
        if not numbers or not set(numbers) <= set(self._outputs):
            raise ScpiError(DATA_OUT_OF_RANGE)
        return numbers, tuple(rest)

    def split(self, request: Request, least: int, most: int) -> tuple[list[Output], tuple[bytes, ...]]:
        """The outputs meant, and the other parameters if there are as many as allowed; else -109 or -108."""
        numbers, rest = self.named(request)
        arguments(replace(request, parameters=rest), least, most)
        return [self._outputs[number] for number in numbers], rest

    def number(
        self, pattern: str, field: str, limits: LimitsOf, units: Units = NO_UNIT
    ) -> dict[str, Handler]:
        """A number of one or several outputs; nothing changes if it does not suit all of them."""

        def store(request: Request) -> None:
            outputs, (token,) = self.split(request, 1, 1)
            values = [limited(token, limits(output), units) for output in outputs]
            for output, value in zip(outputs, values, strict=True):
                setattr(output.setup, field, value)
                output.drive()

        def answer(request: Request) -> str:
            outputs, tokens = self.split(request, 0, 1)
            if not tokens:
                return ",".join(printed(getattr(output.setup, field)) for output in outputs)
            named = [limits(output).named(plain_text(tokens[0])) for output in outputs]
            if None in named:
                raise ScpiError(ILLEGAL_PARAMETER_VALUE)
            return ",".join(printed(value) for value in named if value is not None)

        return {pattern: store, pattern + "?": answer}

    def switch(self, pattern: str, field: str) -> dict[str, Handler]:
        """A switch of one or several outputs, with its query."""

        def store(request: Request) -> None:
            outputs, (token,) = self.split(request, 1, 1)
            on = boolean(token)
            for output in outputs:
                setattr(output.setup, field, on)
                output.drive()

        return {pattern: store, pattern + "?": self.each(lambda output: bit(getattr(output.setup, field)))}

    def each(self, answer: Callable[[Output], str], before: Callable[[], None] | None = None) -> Handler:
        """A query with one answer for every output; `before` is called first."""

        def handle(request: Request) -> str:
            outputs, _ = self.split(request, 0, 0)
            if before is not None:
                before()
            for output in outputs:
                output.watch()
            return ",".join(answer(output) for output in outputs)

        return handle

    def all(self, action: Callable[[Output], None]) -> Handler:
        """A command without parameters for every output."""

        def handle(request: Request) -> None:
            for output in self.split(request, 0, 0)[0]:
                action(output)

        return handle


def output_number(token: bytes) -> int:
    """The output that a name stands for; -224 for another word."""
    number = OUTPUT_NAMES.get(plain_text(token).upper())
    if number is None:
        raise ScpiError(ILLEGAL_PARAMETER_VALUE)
    return number


def printed(value: float) -> str:
    """A number as this family prints it."""
    return f"{value + 0.0:+.8E}"
