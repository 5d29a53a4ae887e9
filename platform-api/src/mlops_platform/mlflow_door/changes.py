"""What a write to the registry changes: read from the request's body, strictly (values in, values out).

MLflow reads a field by two names (`new_name`, `newName`), twice encoded, or twice sent. So the door knows every field of these
requests by one name, refuses the rest, and sends MLflow a body that it wrote itself.
"""

import hashlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson

from mlops_platform.audit.actions import Action
from mlops_platform.errors import BadRequest, Forbidden

# the platform writes these; they say who somebody is
RESERVED = frozenset({"tenant", "registered_by"})
_SHOWN = frozenset({"risk_level", "feature_refs", "training_dataset_uri"})
_SOURCES = frozenset({"runs", "models", "mlflow-artifacts"})
# what MLflow's client and page send for a prompt, whose text is in a tag: they name no bytes
_PROMPT_SOURCES = frozenset({"prompt-template", "dummy-source"})
_MODELS, _VERSIONS = "/api/2.0/mlflow/registered-models/", "/api/2.0/mlflow/model-versions/"
_TAG = ("name", "key", "value")

FIELDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("POST", f"{_MODELS}create"): ("name", "tags", "description", "deployment_job_id"),
    ("POST", f"{_MODELS}rename"): ("name", "new_name"),
    ("PATCH", f"{_MODELS}update"): ("name", "description", "deployment_job_id"),
    ("DELETE", f"{_MODELS}delete"): ("name",),
    ("POST", f"{_MODELS}set-tag"): _TAG,
    ("DELETE", f"{_MODELS}delete-tag"): ("name", "key"),
    ("POST", f"{_MODELS}alias"): ("name", "alias", "version"),
    ("DELETE", f"{_MODELS}alias"): ("name", "alias"),
    ("POST", f"{_VERSIONS}create"): ("name", "source", "run_id", "tags", "run_link", "description", "model_id"),
    ("PATCH", f"{_VERSIONS}update"): ("name", "version", "description"),
    ("POST", f"{_VERSIONS}transition-stage"): ("name", "version", "stage", "archive_existing_versions"),
    ("DELETE", f"{_VERSIONS}delete"): ("name", "version"),
    ("POST", f"{_VERSIONS}set-tag"): (*_TAG, "version"),
    ("DELETE", f"{_VERSIONS}delete-tag"): ("name", "version", "key"),
    # not of the registry, and still read: they may take away what a version needs, or write outside the store
    ("POST", "/api/2.0/mlflow/experiments/create"): ("name", "artifact_location", "tags"),
    ("POST", "/api/2.0/mlflow/experiments/delete"): ("experiment_id",),
    ("POST", "/api/2.0/mlflow/runs/delete"): ("run_id",),
}
_ACTIONS = {
    f"{_MODELS}create": Action.MODEL_CREATED,
    f"{_MODELS}rename": Action.MODEL_RENAMED,
    f"{_VERSIONS}create": Action.MODEL_VERSION_REGISTERED,
}


class FieldsNotKnown(BadRequest):
    """The body is no JSON object of this request's fields."""

    title = "The request's fields are not these"

    def __init__(self, fields: tuple[str, ...]) -> None:
        super().__init__(f"Send one JSON object with no other fields than {', '.join(fields)}.")


class ReservedTag(Forbidden):
    """The tag says who somebody is; a client may not."""

    title = "The platform sets this tag"

    def __init__(self, key: str) -> None:
        super().__init__(f"The tag '{key}' comes from the token of whoever registers a version; leave it out.")


class OutsideTheStore(Forbidden):
    """Bytes would be written to, or served from, a place that the platform does not keep."""

    title = "This place is outside the artifact store"

    def __init__(self) -> None:
        super().__init__(
            "Log the artifacts to a run and name them by runs:/... or models:/...; experiments choose no artifact location."
        )


@dataclass(frozen=True)
class Change:
    """A write to the registry. `body` is what MLflow gets; `details` is what the audit event says."""

    template: str
    method: str
    name: str
    version: int | None
    action: Action
    details: dict[str, Any]
    body: dict[str, Any]

    @property
    def creates_model(self) -> bool:
        """Whether it takes a name."""
        return self.action is Action.MODEL_CREATED

    @property
    def deletes(self) -> bool:
        """Whether it takes a model or a version away."""
        return self.method == "DELETE" and self.template.endswith("/delete")

    @property
    def new_name(self) -> str | None:
        """The name after a rename."""
        return self.body.get("new_name") if self.action is Action.MODEL_RENAMED else None

    @property
    def resource(self) -> str:
        """The subject of the audit event."""
        return f"model:{self.name}" if self.version is None else f"model:{self.name}:{self.version}"

    def raw(self) -> bytes:
        """The body as it goes over the wire."""
        return orjson.dumps(self.body)


def fields_of(method: str, template: str, raw: bytes) -> dict[str, Any]:
    """Return the fields of a request that the door reads. Raises FieldsNotKnown."""
    known = FIELDS[method, template]
    try:
        body = orjson.loads(raw or b"{}")
    except orjson.JSONDecodeError as error:
        raise FieldsNotKnown(known) from error
    if not isinstance(body, dict) or not set(body) <= set(known):
        raise FieldsNotKnown(known)
    if any(isinstance(value, dict | list) for field, value in body.items() if field != "tags"):
        raise FieldsNotKnown(known)
    return body


def change_of(method: str, template: str, raw: bytes, registered_by: str) -> Change:
    """Return what a write to the registry changes. Raises FieldsNotKnown, ReservedTag and OutsideTheStore."""
    body = fields_of(method, template, raw)
    known = FIELDS[method, template]
    name = body.get("name")
    if not isinstance(name, str) or not name:
        raise FieldsNotKnown(known)
    tags = _tags(body.get("tags"), known)
    key = body.get("key")
    for tag in (*tags, *([key] if isinstance(key, str) else [])):
        if tag in RESERVED:
            raise ReservedTag(tag)
    action = _ACTIONS.get(
        template, Action.MODEL_CHANGED if template.startswith(_MODELS) else Action.MODEL_VERSION_CHANGED
    )
    if action is Action.MODEL_VERSION_REGISTERED:
        if body.get("source") not in _PROMPT_SOURCES:
            refuse_outside_source(body.get("source"))
        tags["registered_by"] = registered_by
    if tags:
        body = {**body, "tags": [{"key": tag, "value": value} for tag, value in tags.items()]}
    return Change(template, method, name, _version(body, known), action, _details(method, template, body, tags), body)


def refuse_outside_source(source: object) -> None:
    """Raise OutsideTheStore for a version whose bytes are not below a run or a logged model of this MLflow."""
    if not isinstance(source, str):
        raise OutsideTheStore
    plain = source
    while (decoded := unquote(plain)) != plain:
        plain = decoded
    parts = urlsplit(plain)
    if parts.scheme not in _SOURCES or parts.netloc or ".." in parts.path.split("/") or "\\" in plain or parts.query:
        raise OutsideTheStore


def _tags(sent: object, known: tuple[str, ...]) -> dict[str, str]:
    if sent is None:
        return {}
    if not isinstance(sent, list):
        raise FieldsNotKnown(known)
    found: dict[str, str] = {}
    for tag in sent:
        if not isinstance(tag, dict) or not set(tag) <= {"key", "value"} or not isinstance(tag.get("key"), str):
            raise FieldsNotKnown(known)
        value = tag.get("value", "")
        if not isinstance(value, str):
            raise FieldsNotKnown(known)
        found[tag["key"]] = value
    return found


def _version(body: dict[str, Any], known: tuple[str, ...]) -> int | None:
    if (sent := body.get("version")) is None:
        return None
    text = str(sent)
    if not (text.isascii() and text.isdigit()) or not 0 < int(text[:12]) < 1_000_000_000:  # noqa: PLR2004 - fits the column
        raise FieldsNotKnown(known)
    return int(text)


def _details(method: str, template: str, body: dict[str, Any], tags: dict[str, str]) -> dict[str, Any]:
    """Return what the event says. Free text may name people: of it only a hash is kept."""
    changed = template.rsplit("/", 1)[1]
    details: dict[str, Any] = {"change": changed if changed != "alias" else f"{method.lower()}-alias"}
    if isinstance(body.get("key"), str):
        details |= {"tag": body["key"], **({"value": _said(body["key"], body["value"])} if "value" in body else {})}
    if tags:
        details["tags"] = {tag: _said(tag, value) for tag, value in tags.items() if tag != "registered_by"}
    details |= {field: body[field] for field in ("alias", "new_name", "run_id", "source", "stage") if body.get(field)}
    if "description" in body:
        details["description"] = _hashed(str(body["description"]))
    if changed == "create" and template.startswith(_VERSIONS):
        details["risk_level"] = tags.get("risk_level")
    return details


def _said(tag: str, value: object) -> str:
    text = str(value)
    return text[:200] if tag in _SHOWN else _hashed(text)


def _hashed(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode(errors='replace')).hexdigest()}"
