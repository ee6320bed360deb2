"""Faults as a user writes them: `[[faults]]` in twin.toml, or one object on the control socket."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from qdci_lab.errors import ConfigError, Mistake
from sim_devices.faults import FAULTS, Fault
from sim_devices.validation import dataclass_model, nearest, tupled, validation_mistakes

_SIMULATED = "sim://"


class FaultModel(BaseModel):
    """A device and the kind of fault; all other keys are when it begins, how long it lasts, and what is its own."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)
    device: str
    kind: str


def read_fault(
    document: Mapping[str, Any], *, file: str = "fault", place: tuple[str | int, ...] = ()
) -> Fault:
    """The fault of a `kind` and its values. Raises ConfigError with everything that is wrong with them."""
    name = str(document.get("kind"))
    if name not in FAULTS:
        reason = f"there is no fault {name!r}; there are {', '.join(FAULTS)}"
        key = ".".join((*map(str, place), "kind"))
        raise ConfigError([Mistake(file, key, reason, nearest(name, FAULTS))])
    values = {key: value for key, value in document.items() if key not in ("kind", "device")}
    model = dataclass_model(FAULTS[name])
    try:
        checked = model.model_validate(tupled(values))
    except ValidationError as error:
        raise ConfigError(list(validation_mistakes(file, place, error, model.model_fields))) from error
    return FAULTS[name](**{key: getattr(checked, key) for key in type(checked).model_fields})


def misplaced(fault: Fault, device: str, wire: str) -> str | None:
    """Why a device behind this wire cannot have the fault; None if it can."""
    if wire in fault.WIRES:
        return None
    possible = ", ".join(f"{_SIMULATED}{name}" for name in sorted(fault.WIRES))
    return f"{device} is behind {_SIMULATED}{wire}, and {fault.KIND} happens behind {possible} only"


def fault_mistakes(
    file: str, faults: Sequence[FaultModel], instruments: Mapping[str, object], addresses: Mapping[str, str]
) -> Iterator[Mistake]:
    """What is wrong with the faults of a twin.toml, whose instruments and addresses are given."""
    for number, model in enumerate(faults):
        key = f"faults[{number}]"
        if model.device not in instruments:
            reason = f"there is no instrument {model.device!r}"
            yield Mistake(file, f"{key}.device", reason, nearest(model.device, list(instruments)))
            continue
        try:
            fault = read_fault({"kind": model.kind, **(model.model_extra or {})}, file=file, place=(key,))
        except ConfigError as error:
            yield from error.mistakes
            continue
        wire = addresses.get(model.device, "").removeprefix(_SIMULATED).partition(":")[0]
        reason = misplaced(fault, model.device, wire)
        if reason is not None and addresses.get(model.device, "").startswith(_SIMULATED):
            yield Mistake(file, f"{key}.kind", reason)


def fault_schemas() -> list[dict[str, Any]]:
    """JSON schema of each kind of fault, as `[[faults]]` has it."""
    schemas = []
    for name, kind in FAULTS.items():
        entry = dataclass_model(kind).model_json_schema()
        own = entry.get("properties", {})
        entry["properties"] = {"device": {"type": "string"}, "kind": {"const": name}, **own}
        entry["required"] = ["device", "kind", *entry.get("required", [])]
        schemas.append(entry)
    return schemas
