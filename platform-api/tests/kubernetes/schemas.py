"""Custom resources against the schemas their projects publish, as strictly as the API server with `--validate=strict`."""

import functools
from pathlib import Path
from typing import Any

import jsonschema
import yaml

# the oldest and the newest version of Kubernetes that the platform says it runs on
VERSIONS = ("1.33", "1.35")


class _Loader(yaml.CSafeLoader):
    """YAML as Kubernetes reads it: a lone '=' (an operator of Prometheus' matchers) is a string."""


_Loader.add_constructor("tag:yaml.org,2002:value", lambda _loader, node: node.value)


def _strict(schema: Any) -> Any:
    """Turn a CRD's schema into a JSON schema that knows no other fields and lets int-or-string be either."""
    if isinstance(schema, list):
        return [_strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _strict(part) for key, part in schema.items() if key != "properties"}
    if "properties" in schema:
        made["properties"] = {key: _strict(part) for key, part in schema["properties"].items()}
        if schema.get("type") == "object" and not schema.get("x-kubernetes-preserve-unknown-fields"):
            made.setdefault("additionalProperties", False)
    return made


@functools.cache
def validators(folder: Path) -> dict[tuple[str, str], jsonschema.Draft7Validator]:
    """Return one validator per (apiVersion, kind) found below the folder."""
    found = {}
    for path in sorted(folder.glob("*/*.yaml")):
        for crd in yaml.load_all(path.read_text(), _Loader):
            if not crd or crd.get("kind") != "CustomResourceDefinition":
                continue
            for version in crd["spec"]["versions"]:
                schema = _strict(version["schema"]["openAPIV3Schema"])
                schema["properties"].update({"apiVersion": {}, "kind": {}, "metadata": {}})
                key = (f"{crd['spec']['group']}/{version['name']}", crd["spec"]["names"]["kind"])
                found[key] = jsonschema.Draft7Validator(schema)
    return found
