"""Custom resources against the schemas of their definitions, strictly: what is not declared is wrong."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml

_TRUST_IN_METADATA = {"apiVersion": {}, "kind": {}, "metadata": {"type": "object"}}


@functools.cache
def definitions(folder: Path) -> dict[tuple[str, str], jsonschema.Draft202012Validator]:
    """A validator for each (apiVersion, kind) that a definition in the folder serves."""
    found = {}
    for path in sorted(folder.rglob("*.yaml")):
        definition = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        if not isinstance(definition, dict) or definition.get("kind") != "CustomResourceDefinition":
            continue
        spec = definition["spec"]
        for version in spec["versions"]:
            if version["served"]:
                schema = strict(version["schema"]["openAPIV3Schema"])
                schema["properties"] |= _TRUST_IN_METADATA
                key = f"{spec['group']}/{version['name']}", spec["names"]["kind"]
                found[key] = jsonschema.Draft202012Validator(schema)
    return found


def strict(schema: Any) -> Any:
    """A structural schema as JSON Schema that refuses what it does not declare.

    Rules in CEL (`x-kubernetes-validations`) are not evaluated: only the API server does that.
    """
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    result = {
        name: strict(value)
        for name, value in schema.items()
        if not name.startswith("x-") and name not in {"properties", "default", "example"}
    }
    if "properties" in schema:
        result["properties"] = {name: strict(one) for name, one in schema["properties"].items()}
    if schema.get("x-kubernetes-embedded-resource"):
        result["properties"] = result.get("properties", {}) | _TRUST_IN_METADATA
    if schema.get("x-kubernetes-int-or-string"):
        result.pop("type", None)
        result["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    closed = "properties" in schema and "additionalProperties" not in schema
    if closed and not schema.get("x-kubernetes-preserve-unknown-fields"):
        result["additionalProperties"] = False
    if schema.get("nullable") and "type" in result:
        result["type"] = [result["type"], "null"]
    return result


def findings(validator: jsonschema.Draft202012Validator, document: Any) -> Iterator[str]:
    """What is wrong, with the way to it."""
    for error in validator.iter_errors(document):
        yield f"{error.json_path}: {error.message[:300]}"
