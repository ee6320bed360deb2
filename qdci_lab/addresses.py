"""Which kind of link an address means, by its form alone."""

import re

REPLAY = "replay:"

_VISA = re.compile(r"(TCPIP|USB|GPIB|ASRL|VXI|PXI)\d*(::|/)", re.IGNORECASE)
_SERIAL = re.compile(r"(/dev/\S+|COM\d+|(socket|rfc2217|loop|spy|hwgrep|alt)://\S+)$", re.IGNORECASE)


def address_kind(address: str) -> str | None:
    """`visa`, `serial`, `c_api` or `replay` (a recorded wire log); None for an address that is none of them."""
    if _VISA.match(address):
        return "visa"
    if _SERIAL.match(address):
        return "serial"
    if address.startswith(("c_api:", "c_api+python:")):
        return "c_api"
    if address.startswith(REPLAY) and address != REPLAY:
        return "replay"
    return None
