"""A Terraform plan as data, from `terraform show -json PLAN`. Values in, values out."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_INDEX = re.compile(r'\["?([^"\]]*)"?\]$')


class NotAPlan(ValueError):
    """The document is not what `terraform show -json PLAN` prints; the message says what is missing."""


@dataclass(frozen=True)
class Resource:
    """A managed resource as it will be after the plan is applied; what is known only afterwards is absent."""

    address: str
    type: str
    values: Mapping[str, Any]

    @property
    def module(self) -> str:
        """Address of the module it is in; empty for the root."""
        return self.address.rsplit(f"{self.type}.", 1)[0].rstrip(".")

    @property
    def key(self) -> str:
        """Its `for_each` key or `count` index; empty without one."""
        found = _INDEX.search(self.address)
        return found.group(1) if found else ""


@dataclass(frozen=True)
class Change:
    """What the plan does to one resource. `unknown` holds True wherever `after` is decided by AWS."""

    address: str
    type: str
    actions: tuple[str, ...]
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    unknown: Mapping[str, Any]
    replaced_because: tuple[str, ...]

    @property
    def creates(self) -> bool:
        """Whether nothing was there before."""
        return self.actions == ("create",)

    @property
    def deletes(self) -> bool:
        """Whether it is gone afterwards."""
        return self.actions == ("delete",)

    @property
    def forgets(self) -> bool:
        """Whether Terraform stops managing it and leaves it as it is."""
        return "forget" in self.actions

    @property
    def replaces(self) -> bool:
        """Whether it is deleted and made again."""
        return "delete" in self.actions and "create" in self.actions


@dataclass(frozen=True)
class Plan:
    """A whole plan."""

    environment: str
    region: str
    zones: int
    resources: tuple[Resource, ...]
    changes: tuple[Change, ...]

    def of(self, *types: str) -> list[Resource]:
        """Return the resources of these types, in the plan's order."""
        return [resource for resource in self.resources if resource.type in types]


def read(document: Mapping[str, Any]) -> Plan:
    """Return the plan in a `terraform show -json` document. Raises NotAPlan."""
    root = (document.get("planned_values") or {}).get("root_module")
    if not isinstance(root, dict) or "resource_changes" not in document:
        raise NotAPlan("it has no planned_values and resource_changes: write it with `terraform show -json PLAN`")
    return Plan(
        environment=str(_variable(document, "environment") or "unnamed"),
        region=str(_variable(document, "region") or "us-east-1"),
        zones=len(_variable(document, "availability_zones") or ()),
        resources=tuple(_resources(root)),
        changes=tuple(_changes(document["resource_changes"])),
    )


def _variable(document: Mapping[str, Any], name: str) -> Any:
    return ((document.get("variables") or {}).get(name) or {}).get("value")


def _resources(module: Mapping[str, Any]) -> Iterator[Resource]:
    for entry in module.get("resources", ()):
        if entry.get("mode", "managed") == "managed":
            yield Resource(entry["address"], entry["type"], entry.get("values") or {})
    for child in module.get("child_modules", ()):
        yield from _resources(child)


def _changes(entries: list[Mapping[str, Any]]) -> Iterator[Change]:
    for entry in entries:
        change = entry.get("change") or {}
        if entry.get("mode", "managed") != "managed" or change.get("actions") in (["no-op"], ["read"]):
            continue
        unknown = change.get("after_unknown")
        yield Change(
            address=entry["address"],
            type=entry["type"],
            actions=tuple(change.get("actions") or ()),
            before=change.get("before") or {},
            after=change.get("after") or {},
            unknown=unknown if isinstance(unknown, dict) else {},
            replaced_because=tuple(".".join(map(str, path)) for path in change.get("replace_paths") or ()),
        )
