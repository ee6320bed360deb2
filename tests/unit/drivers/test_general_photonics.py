"""What holds for both polarization controllers of General Photonics."""

from typing import Any

import pytest

from drivers.polarization_controller.general_photonics_mpc202 import GeneralPhotonicsMpc202
from drivers.polarization_controller.general_photonics_psy201 import GeneralPhotonicsPsy201
from qdci_lab.device import Instrument
from qdci_lab.errors import RemoteProtocolError, TransportTimeout
from qdci_lab.transport.memory import MemoryTransport

MODELS = {"MPC-202": GeneralPhotonicsMpc202, "PSY-201": GeneralPhotonicsPsy201}


@pytest.mark.parametrize(("model", "other"), [("MPC-202", "PSY-201"), ("PSY-201", "MPC-202")])
def test_another_instrument_is_not_taken_for_it(connected: Any, model: str, other: str):
    identity = f"General Photonics,{other},0001,1.0\r\n".encode()
    with pytest.raises(RemoteProtocolError, match=f"expected a General Photonics {model}"):
        connected(MODELS[model], MemoryTransport(lambda _data: identity))


@pytest.mark.parametrize("driver", MODELS.values(), ids=MODELS)
def test_silence_is_a_timeout(connected: Any, driver: type[Instrument]):
    with pytest.raises(TransportTimeout, match=r"lab\.dev: memory: no answer"):
        connected(driver, MemoryTransport(lambda _data: b""))
