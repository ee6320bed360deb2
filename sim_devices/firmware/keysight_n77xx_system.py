"""The :SYSTem commands of the N77xx family that only tell about the mainframe.

Reference: Keysight N77xx Series Programming Guide, chapter 3, "The SYSTem Subsystem". The instruments have no clock:
date and time are accepted and always read zero. Network settings are read-only here.
"""

from sim_devices.firmware.scpi_tree import Handler, Request
from sim_devices.firmware.scpi_values import arguments, bare, boolean, integer


def system_commands(product: str, serial_number: str) -> dict[str, Handler]:
    """Clock, network and identification-light commands of an instrument."""
    ethernet = ":SYSTem:COMMunicate:ETHernet"
    return {
        f"{ethernet}:HOSTname[:CURRent]?": bare(lambda: f'"A-{product}-{serial_number[-6:]}"'),
        f"{ethernet}:IPADdress[:CURRent]?": bare(lambda: '"127.0.0.1"'),
        f"{ethernet}:SMASk[:CURRent]?": bare(lambda: '"255.0.0.0"'),
        f"{ethernet}:DGATeway[:CURRent]?": bare(lambda: '"0.0.0.0"'),
        f"{ethernet}:DHCP:ENABle?": bare(lambda: "1"),
        f"{ethernet}:AUTOip:ENABle?": bare(lambda: "1"),
        ":SYSTem:COMMunicate:GPIB[:SELF]:ADDRess?": bare(lambda: "+20"),
        ":SYSTem:DATE": _set_clock,
        ":SYSTem:DATE?": bare(lambda: "+0000,+0,+00"),
        ":SYSTem:TIME": _set_clock,
        ":SYSTem:TIME?": bare(lambda: "+00,+00,+00"),
        ":SYSTem:LXI:IDN": _set_identification_light,
        ":SYSTem:VERSion?": bare(lambda: "1990.0"),
    }


def _set_clock(request: Request) -> None:
    for part in arguments(request, 3):
        integer(part)


def _set_identification_light(request: Request) -> None:
    (token,) = arguments(request, 1)
    boolean(token)
