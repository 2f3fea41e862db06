"""The exported JSON Schema says the same as labctl's own reader."""

from functools import cache
from pathlib import Path

import jsonschema
import pytest

from labctl.cli.info import Document, models
from labctl.documents import schema as schemas
from labctl.documents.reader import parse, read_yaml
from labctl.model.service import ServiceDoc

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
ERRORS = ROOT / "tests" / "errors"


@cache
def json_schema(kind):
    return schemas.json_schema(kind, models()[Document(kind)])


@cache
def validator(kind):
    schema = json_schema(kind)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("path", sorted((ROOT / "topologies").glob("*.yml")), ids=lambda p: p.stem)
def test_shipped_topologies(path):
    validator("topology").validate(read_yaml(path))


def test_shipped_and_small_catalogue():
    paths = [*ROOT.glob("compose/*/service.yml"), *DATA.glob("catalogue/compose/*/service.yml")]
    check = validator("service")
    for path in paths:
        check.validate(read_yaml(path))


@pytest.mark.parametrize(
    ("kind", "case"),
    [
        ("topology", "unknown-key"),
        ("topology", "upper-case-node"),
        ("topology", "missing-key"),
        ("topology", "unknown-release"),
        ("topology", "empty-nodes"),
        ("topology", "number-for-text"),
        ("service", "port-as-text"),
        ("service", "privileged"),
        ("service", "size"),
        ("service", "secret-name"),
        ("service", "environment-no"),
        ("scenario", "unknown-key"),
        ("scenario", "unknown-fault"),
        ("scenario", "rate-too-high"),
        ("scenario", "workers-too-many"),
        ("scenario", "moment-as-number"),
        ("scenario", "span"),
        ("scenario", "loss-too-much"),
    ],
)
def test_what_labctl_refuses_the_schema_refuses(kind, case):
    text = (ERRORS / kind / f"{case}.yml").read_text()
    assert not validator(kind).is_valid(parse(text, case)[0])


def test_the_library_of_scenarios():
    for kind, directory in (("scenario", "scenarios"), ("sabotage", "sabotage")):
        check = validator(kind)
        for path in (ROOT / "labctl" / "chaos" / directory).glob("*.yml"):
            check.validate(read_yaml(path))


def test_fields_are_described():
    schema = json_schema("service")
    assert schema["properties"]["settings"]["description"] == (
        "What a topology may override under ``services.<name>``, with defaults. A service that is "
        "known to run under libfaketime declares ``fake_clock: false``: true runs it that way, so "
        "that its clock can be changed. One that can run on a disk of its own declares ``disk: "
        "null``: a size gives it one, in memory, so that it can fill up."
    )
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    undescribed = [name for name, part in schema["$defs"].items() if not part.get("description")]
    assert not undescribed
    assert set(schema["properties"]) == set(ServiceDoc.model_fields)


def test_every_object_is_closed():
    def objects(part):
        if isinstance(part, dict):
            if "properties" in part or "patternProperties" in part:
                yield part
            part = list(part.values())
        if isinstance(part, list):
            for item in part:
                yield from objects(item)

    for kind in ("topology", "service", "scenario", "sabotage"):
        found = list(objects(json_schema(kind)))
        assert found
        assert all(part["additionalProperties"] is False for part in found)
