"""The JSON schemas by which editors complete the testbeds' files are those of the models.

`python -m tests.architecture.test_schemas` writes them anew.
"""

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

from qdci_lab.config import address_schema, lab_schema
from sim_devices.config import twin_schema

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "configs" / "schema"
SCHEMAS = {"lab": lab_schema, "addresses": address_schema, "twin": twin_schema}
FILES = {"lab.toml": "lab", "bench.toml": "addresses", "sim.toml": "addresses", "twin.toml": "twin"}


def text_of(name: str) -> str:
    return json.dumps(SCHEMAS[name](), indent=1, sort_keys=True) + "\n"


def write() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in SCHEMAS:
        (FOLDER / f"{name}.schema.json").write_text(text_of(name), encoding="utf-8")


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schema_is_fresh(name):
    assert (FOLDER / f"{name}.schema.json").read_text(encoding="utf-8") == text_of(name)


@pytest.mark.parametrize("path", sorted(ROOT.glob("configs/*/*.toml")), ids=lambda path: path.name)
def test_every_file_satisfies_its_schema_and_names_it(path):
    text = path.read_text(encoding="utf-8")
    name = FILES.get(path.name, "addresses")
    assert f"#:schema ../schema/{name}.schema.json" in text.splitlines()[0]
    jsonschema.validate(tomllib.loads(text), SCHEMAS[name]())


if __name__ == "__main__":
    write()
