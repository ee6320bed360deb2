"""The testbed's configuration: `lab.toml` says what is there, an address file where it is.

A configuration is validated whole before any connection opens; `load_testbed` raises one ConfigError with every
mistake, each with file, key, reason and a suggestion.
"""

import dataclasses
import difflib
import importlib
import inspect
import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from qdci_lab.addresses import address_kind
from qdci_lab.errors import ConfigError, Mistake

SIMULATED = "sim://"
TWIN_FILE = "twin.toml"
NO_ADDRESS = "no VISA, serial, c_api, replay: or sim:// address"
GIVEN_BY_SESSION = ("name", "label", "clock", "transport", "devices")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class TestbedInfo(_Strict):
    """What the testbed is called and where it is described."""

    name: str
    description: str = ""


class DeviceEntry(BaseModel):
    """One device: its driver, `module:Class`, and the options that the driver's constructor takes."""

    model_config = ConfigDict(extra="allow")
    driver: str = Field(pattern=r"^[\w.]+:\w+$")

    @property
    def options(self) -> dict[str, Any]:
        """The driver's own options."""
        return dict(self.model_extra or {})


class LinkEntry(DeviceEntry):
    """A quantum link: its driver, which devices play which part, and tables of settings."""

    devices: dict[str, str]


class LabFile(_Strict):
    """`lab.toml`."""

    testbed: TestbedInfo
    devices: dict[str, DeviceEntry]
    link: LinkEntry | None = None


class AddressFile(_Strict):
    """`bench.toml` or `sim.toml`: addresses only."""

    addresses: dict[str, str]


@dataclass(frozen=True)
class DeviceSpec:
    """A device to be built: the class, its options, and its address."""

    role: str
    driver: type
    options: Mapping[str, Any]
    address: str

    @property
    def source(self) -> str:
        """Who answers at the address: `twin`, `replay` or `bench`."""
        if self.address.startswith(SIMULATED):
            return "twin"
        return "replay" if address_kind(self.address) == "replay" else "bench"


@dataclass(frozen=True)
class LinkSpec:
    """A link to be built: the class, the devices by the part they play, and its settings."""

    driver: type
    devices: Mapping[str, str]
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Testbed:
    """A validated configuration; `texts` are the files it was read from."""

    name: str
    folder: Path
    devices: Mapping[str, DeviceSpec]
    link: LinkSpec | None
    texts: Mapping[str, str]

    @property
    def is_simulated(self) -> bool:
        """Whether any device is simulated."""
        return any(spec.source == "twin" for spec in self.devices.values())

    @property
    def source(self) -> str:
        """Where the data come from: `twin`, `replay` (recorded wire logs), `bench`, or more than one: `mixed`."""
        sources = {spec.source for spec in self.devices.values()} or {"bench"}
        return sources.pop() if len(sources) == 1 else "mixed"


def load_testbed(folder: Path, address_file: str) -> Testbed:
    """Read and validate `lab.toml` and the address file of a testbed; ConfigError lists every mistake."""
    mistakes: list[Mistake] = []
    texts: dict[str, str] = {}
    lab = _read(folder / "lab.toml", LabFile, texts, mistakes)
    book = _read(folder / address_file, AddressFile, texts, mistakes)
    addresses = book.addresses if book is not None else {}
    if lab is not None and book is not None:
        mistakes += _address_mistakes(address_file, addresses, lab.devices)
    devices = _devices(lab, addresses, mistakes) if lab is not None else {}
    link = _link(lab, mistakes) if lab is not None and lab.link is not None else None
    if mistakes or lab is None:
        raise ConfigError(mistakes)
    if (folder / TWIN_FILE).exists() and any(spec.address.startswith(SIMULATED) for spec in devices.values()):
        texts[TWIN_FILE] = (folder / TWIN_FILE).read_text(encoding="utf-8")
    return Testbed(lab.testbed.name, folder, devices, link, texts)


def suggest(word: str, known: Collection[str]) -> str | None:
    """The known word that a mistaken one was probably meant to be."""
    return next(iter(difflib.get_close_matches(word, known, n=1)), None)


def resolve(reference: str) -> Any:
    """The object behind `module:name`; ImportError or AttributeError where there is none."""
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


def check_options(
    file: str, key: str, function: Callable[..., Any], options: Mapping[str, Any], mistakes: list[Mistake]
) -> dict[str, Any]:
    """Options validated against the keyword-only parameters of a function: a driver's constructor, or a plan."""
    parameters = inspect.signature(function).parameters
    types = get_type_hints(function)
    own = {
        name: parameter
        for name, parameter in parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name not in GIVEN_BY_SESSION
    }
    missing = [name for name, item in own.items() if item.default is item.empty and name not in options]
    mistakes += [Mistake(file, _join(key, name), "is missing") for name in missing]
    return {
        name: _validated(file, _join(key, name), types.get(name, Any), value, mistakes)
        for name, value in options.items()
        if _is_known(file, key, name, own, mistakes)
    }


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _is_known(file: str, key: str, name: str, known: Collection[str], mistakes: list[Mistake]) -> bool:
    if name in known:
        return True
    mistakes.append(Mistake(file, _join(key, name), "there is no such setting", suggest(name, known)))
    return False


def _validated(file: str, key: str, kind: Any, value: Any, mistakes: list[Mistake]) -> Any:
    """A value as its annotation wants it; a table becomes the dataclass that the annotation names."""
    if isinstance(value, dict) and (fields := _field_names(kind)):
        value = {name: item for name, item in value.items() if _is_known(file, key, name, fields, mistakes)}
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        mistakes += _from_pydantic(file, key, error, ())
        return None


def _field_names(kind: Any) -> list[str]:
    """The names of a dataclass's fields; none for any other annotation."""
    return [field.name for field in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []


def _read(path: Path, model: type, texts: dict[str, str], mistakes: list[Mistake]) -> Any:
    """A file as its model, or None with its mistakes noted."""
    file = f"{path.parent.name}/{path.name}"
    try:
        texts[path.name] = path.read_text(encoding="utf-8")
        return model.model_validate(tomllib.loads(texts[path.name]))
    except OSError as error:
        mistakes.append(Mistake(file, "-", f"cannot be read: {error.strerror}"))
    except tomllib.TOMLDecodeError as error:
        mistakes.append(Mistake(file, "-", f"is not TOML: {error}"))
    except ValidationError as error:
        mistakes += _from_pydantic(file, "", error, tuple(model.model_fields))
    return None


def _from_pydantic(file: str, key: str, error: ValidationError, known: Collection[str]) -> list[Mistake]:
    return [
        Mistake(
            file,
            ".".join([*([key] if key else []), *(str(part) for part in entry["loc"])]),
            f"{entry['msg']} (found {entry['input']!r})"[:200],
            suggest(str(entry["loc"][-1]), known) if entry["type"] == "extra_forbidden" else None,
        )
        for entry in error.errors()
    ]


def _address_mistakes(
    address_file: str, addresses: Mapping[str, str], roles: Collection[str]
) -> list[Mistake]:
    unknown = [
        Mistake(
            address_file, f"addresses.{role}", "there is no such device in lab.toml", suggest(role, roles)
        )
        for role in addresses
        if role not in roles
    ]
    missing = [
        Mistake(address_file, f"addresses.{role}", "is missing") for role in roles if role not in addresses
    ]
    malformed = [
        Mistake(address_file, f"addresses.{role}", f"{address!r} is {NO_ADDRESS}")
        for role, address in addresses.items()
        if not address.startswith(SIMULATED) and address_kind(address) is None
    ]
    return unknown + missing + malformed


def _devices(lab: LabFile, addresses: Mapping[str, str], mistakes: list[Mistake]) -> dict[str, DeviceSpec]:
    specs = {}
    for role, entry in lab.devices.items():
        driver = _driver("lab.toml", f"devices.{role}", entry.driver, mistakes)
        if driver is not None:
            options = check_options("lab.toml", f"devices.{role}", driver.__init__, entry.options, mistakes)
            specs[role] = DeviceSpec(role, driver, options, addresses.get(role, ""))
    return specs


def _link(lab: LabFile, mistakes: list[Mistake]) -> LinkSpec | None:
    assert lab.link is not None
    for part, role in lab.link.devices.items():
        if role not in lab.devices:
            reason = f"there is no device {role!r}"
            mistakes.append(Mistake("lab.toml", f"link.devices.{part}", reason, suggest(role, lab.devices)))
    driver = _driver("lab.toml", "link", lab.link.driver, mistakes)
    if driver is None:
        return None
    parts = tuple(getattr(driver, "PARTS", ()))
    known = (*parts, *getattr(driver, "OPTIONAL_PARTS", ()))
    for part in lab.link.devices:
        _is_known("lab.toml", "link.devices", part, known, mistakes)
    mistakes += [
        Mistake("lab.toml", f"link.devices.{part}", "is missing")
        for part in parts
        if part not in lab.link.devices
    ]
    options = check_options("lab.toml", "link", driver.__init__, lab.link.options, mistakes)
    return LinkSpec(driver, lab.link.devices, options)


def _driver(file: str, key: str, reference: str, mistakes: list[Mistake]) -> type | None:
    try:
        return resolve(reference)
    except (ImportError, AttributeError) as error:
        mistakes.append(Mistake(file, f"{key}.driver", f"{reference!r} cannot be resolved: {error}"))
        return None


def lab_schema() -> dict[str, Any]:
    """JSON schema of a `lab.toml`."""
    return LabFile.model_json_schema()


def address_schema() -> dict[str, Any]:
    """JSON schema of a `bench.toml` or `sim.toml`."""
    return AddressFile.model_json_schema()
