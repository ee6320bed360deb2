"""The simulated bench's two files: twin.toml (what stands on it) and sim.toml (where its instruments are reached).

`find_mistakes` looks at both and reports everything that is wrong at once; `load_twin` reads the first.
"""

import inspect
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qdci_lab.errors import ConfigError, Mistake
from sim_devices.drift_config import DriftModel, drift_mistakes
from sim_devices.fault_config import FaultModel, fault_mistakes, fault_schemas, read_fault
from sim_devices.faults import Fault
from sim_devices.twin.component import Component
from sim_devices.twin.components import COMPONENTS
from sim_devices.twin.layout import ComponentSpec, InstrumentSpec, Layout, Link, PortAddress
from sim_devices.twin.streams import KeyedStream
from sim_devices.validation import dataclass_model, nearest, tupled, validation_mistakes

TWIN_FILE, SIM_FILE = "twin.toml", "sim.toml"
ADDRESS = re.compile(r"sim://(tcp(:\d{1,5})?|pty|c_api)")
"""A simulated address; anything that does not begin with `sim:` is taken for a real instrument's."""
M = TypeVar("M", bound=BaseModel)


class LinkModel(BaseModel):
    """One fibre or cable: `from` and `to`, each `component.port`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    source: str = Field(alias="from", pattern=r"^[^.]+\.[^.]+$")
    target: str = Field(alias="to", pattern=r"^[^.]+\.[^.]+$")


class ComponentModel(BaseModel):
    """A component's type; all other keys are parameters of that type."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)
    type: str


class InstrumentModel(BaseModel):
    """A firmware, its serial number and the components on its sockets; all other keys are firmware options."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)
    firmware: str
    serial_number: str
    components: Mapping[str, str] = Field(default_factory=dict)


class TwinModel(BaseModel):
    """A whole twin.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    seed: int = Field(ge=0)
    components: Mapping[str, ComponentModel]
    links: tuple[LinkModel, ...] = ()
    instruments: Mapping[str, InstrumentModel] = Field(default_factory=dict)
    drifts: tuple[DriftModel, ...] = ()
    faults: tuple[FaultModel, ...] = ()


class SimModel(BaseModel):
    """A whole sim.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    addresses: Mapping[str, str]


def find_mistakes(testbed: Path) -> list[Mistake]:
    """All mistakes of a testbed's twin.toml and sim.toml; empty if there are none."""
    twin, mistakes = _read(testbed / TWIN_FILE, TwinModel)
    sim, sim_mistakes = _read(testbed / SIM_FILE, SimModel)
    if twin is not None:
        mistakes += [*_layout_mistakes(twin), *_instrument_mistakes(twin)]
    mistakes += sim_mistakes
    if sim is not None:
        mistakes += _address_mistakes(sim, twin)
    if twin is not None:
        addresses = {} if sim is None else sim.addresses
        mistakes += fault_mistakes(TWIN_FILE, twin.faults, twin.instruments, addresses)
    return mistakes


def load_faults(testbed: Path) -> list[tuple[str, Fault]]:
    """The devices and faults that a testbed's twin.toml begins with. Raises ConfigError where it is no twin.toml."""
    twin, mistakes = _read(testbed / TWIN_FILE, TwinModel)
    if twin is None:
        raise ConfigError(mistakes)
    return [
        (item.device, read_fault({"kind": item.kind, **(item.model_extra or {})})) for item in twin.faults
    ]


def load_twin(testbed: Path) -> Layout:
    """The layout that a testbed's twin.toml describes. Raises ConfigError with all mistakes of its layout."""
    twin, mistakes = _read(testbed / TWIN_FILE, TwinModel)
    if twin is not None:
        mistakes += _layout_mistakes(twin)
    if twin is None or mistakes:
        raise ConfigError(mistakes)
    return Layout(
        seed=twin.seed,
        components={
            name: ComponentSpec(item.type, _parameters(item)) for name, item in twin.components.items()
        },
        links=tuple(Link(_port(link.source), _port(link.target)) for link in twin.links),
        instruments={
            name: InstrumentSpec(item.firmware, item.serial_number, item.components, item.model_extra or {})
            for name, item in twin.instruments.items()
        },
        drifts=tuple(drift.spec() for drift in twin.drifts),
    )


def parameter_model(kind: type[Component[Any]]) -> type[BaseModel]:
    """The pydantic model of a component type's parameters, from the dataclass that the component takes."""
    return dataclass_model(kind.Parameters)


def _read(path: Path, model: type[M]) -> tuple[M | None, list[Mistake]]:
    """The file as a model, or the reasons why it is none."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        return None, [Mistake(path.name, str(path), error.strerror or str(error))]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return None, [Mistake(path.name, "the whole file", f"is not TOML: {error}")]
    try:
        return model.model_validate(tupled(document)), []
    except ValidationError as error:
        known = {entry.alias or name for name, entry in model.model_fields.items()}
        known |= {entry.alias or name for name, entry in LinkModel.model_fields.items()}
        return None, list(validation_mistakes(path.name, (), error, known))


def _layout_mistakes(twin: TwinModel) -> Iterator[Mistake]:
    components: dict[str, Component[Any] | None] = {}
    for name, model in twin.components.items():
        component, mistakes = _component(name, model)
        components[name] = component
        yield from mistakes
    yield from drift_mistakes(TWIN_FILE, twin.drifts, components)
    taken: dict[tuple[str, str], int] = {}
    for number, link in enumerate(twin.links):
        kinds: list[str] = []
        for side, text in (("from", link.source), ("to", link.target)):
            key = f"links[{number}].{side}"
            mistake, kind = _linked_port(key, side, _port(text), components)
            if mistake is not None:
                yield mistake
            if kind is not None:
                kinds.append(kind)
            earlier = taken.setdefault((side, text), number)
            if earlier != number:
                yield Mistake(TWIN_FILE, key, f"{text} is linked already, in links[{earlier}]")
        if len(set(kinds)) == 2:
            yield Mistake(TWIN_FILE, f"links[{number}]", f"links a {kinds[0]} output to a {kinds[1]} input")


def _component(name: str, model: ComponentModel) -> tuple[Component[Any] | None, list[Mistake]]:
    """The component, to know its ports; or what is wrong with its type and parameters."""
    kind = COMPONENTS.get(model.type)
    if kind is None:
        reason = f"there is no component type {model.type!r}"
        return None, [Mistake(TWIN_FILE, f"components.{name}.type", reason, nearest(model.type, COMPONENTS))]
    checker = parameter_model(kind)
    try:
        checker.model_validate(model.model_extra or {})
    except ValidationError as error:
        place = ("components", name)
        return None, list(validation_mistakes(TWIN_FILE, place, error, checker.model_fields))
    try:
        return kind(kind.Parameters(**_parameters(model)), KeyedStream(0, (name,))), []
    except ValueError as error:  # numbers that are right each, and do not go together
        return None, [Mistake(TWIN_FILE, f"components.{name}", str(error))]


def _parameters(model: ComponentModel) -> Mapping[str, object]:
    """Parameters as the component's dataclass holds them (an integer where a float is meant becomes one)."""
    checked = parameter_model(COMPONENTS[model.type]).model_validate(model.model_extra or {})
    return {name: getattr(checked, name) for name in type(checked).model_fields}


def _linked_port(
    key: str, side: str, at: PortAddress, components: Mapping[str, Component[Any] | None]
) -> tuple[Mistake | None, str | None]:
    """What is wrong with one end of a link, and the kind of port it is; neither if its component is wrong itself."""
    if at.component not in components:
        reason = f"there is no component {at.component!r}"
        return Mistake(TWIN_FILE, key, reason, nearest(at.component, components)), None
    component = components[at.component]
    if component is None:
        return None, None
    ports = component.outputs if side == "from" else component.inputs
    if at.port in ports:
        return None, ports[at.port]
    direction = "output" if side == "from" else "input"
    return Mistake(
        TWIN_FILE, key, f"{at.component} has no {direction} {at.port!r}", nearest(at.port, ports)
    ), None


def _instrument_mistakes(twin: TwinModel) -> Iterator[Mistake]:
    from sim_devices.firmware import FIRMWARES  # firmware stands beside this module, not under it

    holders: dict[str, str] = {}
    for name, model in twin.instruments.items():
        place = f"instruments.{name}"
        if model.firmware not in FIRMWARES:
            reason = f"there is no firmware {model.firmware!r}"
            yield Mistake(TWIN_FILE, f"{place}.firmware", reason, nearest(model.firmware, FIRMWARES))
        else:
            yield from _option_mistakes(place, FIRMWARES[model.firmware], model.model_extra or {})
        for socket, component in model.components.items():
            key = f"{place}.components.{socket}"
            if component not in twin.components:
                reason = f"there is no component {component!r}"
                yield Mistake(TWIN_FILE, key, reason, nearest(component, twin.components))
            elif component in holders:
                yield Mistake(TWIN_FILE, key, f"{component} is held by {holders[component]} already")
            holders.setdefault(component, name)


def _option_mistakes(place: str, firmware: type, options: Mapping[str, object]) -> Iterator[Mistake]:
    """Options that the firmware's constructor does not take."""
    parameters = inspect.signature(firmware).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    known = {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
    for option in options:
        if option not in known:
            yield Mistake(
                TWIN_FILE, f"{place}.{option}", "is not an option of this firmware", nearest(option, known)
            )


def _address_mistakes(sim: SimModel, twin: TwinModel | None) -> Iterator[Mistake]:
    for name, address in sim.addresses.items():
        key = f"addresses.{name}"
        if not address.startswith("sim:"):
            continue
        if ADDRESS.fullmatch(address) is None:
            reason = f"{address!r} is none of sim://tcp, sim://tcp:<port>, sim://pty, sim://c_api"
            yield Mistake(SIM_FILE, key, reason, nearest(address, ("sim://tcp", "sim://pty", "sim://c_api")))
        elif twin is not None and name not in twin.instruments:
            yield Mistake(
                SIM_FILE, key, f"{TWIN_FILE} has no such instrument", nearest(name, twin.instruments)
            )


def _port(text: str) -> PortAddress:
    component, _, port = text.partition(".")
    return PortAddress(component, port)


def twin_schema() -> dict[str, Any]:
    """JSON schema of a twin.toml, with the parameters of every component type."""
    schema = TwinModel.model_json_schema(by_alias=True)
    kinds = []
    for name, kind in sorted(COMPONENTS.items()):
        entry = parameter_model(kind).model_json_schema()
        schema["$defs"].update(entry.pop("$defs", {}))
        entry["properties"] = {"type": {"const": name}, **entry.get("properties", {})}
        entry["required"] = ["type", *entry.get("required", [])]
        kinds.append(entry)
    schema["properties"]["components"]["additionalProperties"] = {"anyOf": kinds}
    schema["properties"]["faults"]["items"] = {"anyOf": fault_schemas()}
    return schema
