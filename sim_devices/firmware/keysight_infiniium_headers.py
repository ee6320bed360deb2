"""Headers in an Infiniium's responses.

Reference: Keysight Infiniium Oscilloscopes Programmer's Guide, ":SYSTem:HEADer" and ":SYSTem:LONGform". Responses have
no headers unless :SYSTem:HEADer is ON; then they begin with the short or long form of the command, without optional
nodes. Common commands never have one.
"""

import re

from sim_devices.firmware.scpi_settings import switch_setting
from sim_devices.firmware.scpi_tree import Handler, Request


class ResponseHeaders:
    """Whether responses have headers, and in which form; off and short at power-on (assumed)."""

    def __init__(self) -> None:
        self.on = False
        self.long_form = False

    def commands(self) -> dict[str, Handler]:
        """The two switches."""
        return {
            **switch_setting(":SYSTem:HEADer", lambda _: self, "on"),
            **switch_setting(":SYSTem:LONGform", lambda _: self, "long_form"),
        }

    def dressed(self, pattern: str, handler: Handler) -> Handler:
        """A handler whose responses are dressed in headers as long as they are on."""
        if not pattern.endswith("?") or pattern.startswith("*"):
            return handler
        names = _header_names(pattern.removesuffix("?"))

        def handle(request: Request) -> str | bytes | None:
            reply = handler(request)
            if not self.on or reply is None:
                return reply
            header = names[self.long_form].format(**request.suffixes) + " "
            return header + reply if isinstance(reply, str) else header.encode() + reply

        return handle


def _header_names(pattern: str) -> tuple[str, str]:
    """Short and long form of a pattern without its optional nodes, with {n} where a suffix stands."""
    plain = re.sub(r"\[:[^\]]*(?:\[\w+\][^\]]*)*\]", "", pattern)
    numbered = re.sub(r"[\[<](\w+)[\]>]", r"{\1}", plain)
    short = re.sub(r":\w+", lambda node: re.sub("[a-z]", "", node[0]), numbered)
    return short, re.sub(r":\w+", lambda node: node[0].upper(), numbered)
