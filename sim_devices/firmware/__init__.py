"""Firmwares: what an instrument remembers, rounds, refuses and reports, written from its maker's manual alone."""

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

_CLASSES = {
    "coherent_mtp1000": "CoherentMtp1000",
    "fiberlabs_edfa": "FiberlabsEdfa",
    "general_photonics_mpc202": "GeneralPhotonicsMpc202",
    "general_photonics_psy201": "GeneralPhotonicsPsy201",
    "keysight_e36312a": "KeysightE36312A",
    "keysight_infiniium": "KeysightInfiniium",
    "keysight_m8195a": "KeysightM8195A",
    "keysight_m8196a": "KeysightM8196A",
    "keysight_n7714a": "KeysightN7714A",
    "keysight_n7744a": "KeysightN7744A",
    "keysight_n7764a": "KeysightN7764A",
    "oz_dd100mc": "OzDd100mc",
    "oz_epc400": "OzEpc400",
    "oz_odl650": "OzOdl650",
    "polatis_6000": "Polatis6000",
    "polatis_6000_tl1": "Polatis6000Tl1",
    "qutag": "Qutag",
    "s_fifteen_spad": "SFifteenSpad",
    "single_quantum_eos": "SingleQuantumEos",
    "thorlabs_itc4001": "ThorlabsItc4001",
    "thorlabs_mpc320": "ThorlabsMpc320",
    "thorlabs_pm100d": "ThorlabsPm100d",
}


class _Registry(Mapping[str, type[Any]]):
    """Firmware classes by module name; a module is imported when its class is asked for."""

    def __init__(self, classes: Mapping[str, str]) -> None:
        self._places = {name: f"{__name__}.{name}:{class_name}" for name, class_name in classes.items()}

    def __getitem__(self, name: str) -> type[Any]:
        module, _, class_name = self._places[name].partition(":")
        firmware: type[Any] = getattr(importlib.import_module(module), class_name)
        return firmware

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, name: object) -> bool:
        return name in self._places


FIRMWARES: Mapping[str, type[Any]] = _Registry(_CLASSES)
"""Every firmware that twin.toml may name."""
