"""Which permission each route of MLflow needs. A route that is not in these lists is closed (values in, values out)."""

import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote

from mlops_platform.errors import BadRequest

_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")


class Access(StrEnum):
    """What a caller must be allowed to do, in the tenant whose workspace the request is for."""

    PUBLIC = "public"
    """Answered without a token; it tells nothing of anybody's things."""
    READ = "model:read"
    WRITE = "model:register"
    """Experiments, runs, traces, artifacts: what people make before they register it."""
    REGISTRY = "registry"
    """Models and versions: see changes.py, which also says when `model:delete` is needed."""
    CLOSED = "closed"
    """Nobody, over the door: it reaches other hosts, runs code in the server, or changes workspaces."""


@dataclass(frozen=True)
class Route:
    """A request as the table names it: `template` is its path without the values in it."""

    access: Access
    method: str
    template: str


class PathNotPlain(BadRequest):
    """The path could mean two things."""

    def __init__(self) -> None:
        super().__init__(
            "The path holds '..', '//', a backslash, a control character, or is encoded twice; send a plain path."
        )


# method, then paths; <x> is one segment, <x*> is the rest. "/ajax-api/" is looked up as "/api/"
_READS = """
GET / /static-files/<path*> /version /get-artifact /model-versions/get-artifact /build/<path*>
GET /graphql
POST /graphql
GET /api/3.0/mlflow/server-info
GET /api/3.0/mlflow/workspaces /api/3.0/mlflow/workspaces/<name>
GET /api/2.0/mlflow/experiments/get /api/2.0/mlflow/experiments/get-by-name /api/2.0/mlflow/experiments/search
POST /api/2.0/mlflow/experiments/search /api/2.0/mlflow/experiments/search-datasets /api/2.0/mlflow/runs/search
GET /api/2.0/mlflow/runs/get /api/2.0/mlflow/artifacts/list /api/2.0/mlflow/get-online-trace-details
GET /api/2.0/mlflow/metrics/get-history /api/2.0/mlflow/metrics/get-history-bulk
GET /api/2.0/mlflow/metrics/get-history-bulk-interval
GET /api/2.0/mlflow/logged-models/<model_id> /api/2.0/mlflow/logged-models/<model_id>/artifacts/directories
GET /api/2.0/mlflow/logged-models/<model_id>/artifacts/files
POST /api/2.0/mlflow/logged-models/search
GET /api/2.0/mlflow/registered-models/get /api/2.0/mlflow/registered-models/search
GET /api/2.0/mlflow/registered-models/alias /api/2.0/mlflow/registered-models/get-latest-versions
POST /api/2.0/mlflow/registered-models/get-latest-versions
GET /api/2.0/mlflow/model-versions/get /api/2.0/mlflow/model-versions/get-download-uri
GET /api/2.0/mlflow/model-versions/search
GET /api/2.0/mlflow-artifacts/artifacts /api/2.0/mlflow-artifacts/artifacts/<path*>
GET /api/2.0/mlflow/traces /api/2.0/mlflow/traces/<request_id>/info /api/2.0/mlflow/unified-traces
GET /api/2.0/mlflow/get-trace-artifact /api/3.0/mlflow/get-trace-artifact
GET /api/3.0/mlflow/traces/<trace_id> /api/3.0/mlflow/traces/<trace_id>/assessments/<assessment_id>
GET /api/3.0/mlflow/traces/batchGet /api/3.0/mlflow/traces/get
POST /api/3.0/mlflow/traces/batchGetInfos /api/3.0/mlflow/traces/calculate-filter-correlation
POST /api/3.0/mlflow/traces/metrics /api/3.0/mlflow/traces/search
GET /api/3.0/mlflow/datasets/<dataset_id> /api/3.0/mlflow/datasets/<dataset_id>/experiment-ids
GET /api/3.0/mlflow/datasets/<dataset_id>/records /api/3.0/mlflow/datasets/search
POST /api/3.0/mlflow/datasets/search
GET /api/3.0/mlflow/issues/<issue_id>
POST /api/3.0/mlflow/issues/search
GET /api/3.0/mlflow/label-schemas/get /api/3.0/mlflow/label-schemas/get-by-name /api/3.0/mlflow/label-schemas/list
GET /api/3.0/mlflow/review-queues/get /api/3.0/mlflow/review-queues/get-by-name /api/3.0/mlflow/review-queues/list
GET /api/3.0/mlflow/review-queues/items/list
GET /api/3.0/mlflow/scorers/get /api/3.0/mlflow/scorers/list /api/3.0/mlflow/scorers/versions
GET /api/3.0/mlflow/scorers/online-configs
GET /api/3.0/mlflow/ui-telemetry
"""

_WRITES = """
POST /api/2.0/mlflow/experiments/create /api/2.0/mlflow/experiments/update /api/2.0/mlflow/experiments/restore
POST /api/2.0/mlflow/experiments/delete /api/2.0/mlflow/experiments/set-experiment-tag
POST /api/2.0/mlflow/experiments/delete-experiment-tag
POST /api/2.0/mlflow/runs/create /api/2.0/mlflow/runs/update /api/2.0/mlflow/runs/delete /api/2.0/mlflow/runs/restore
POST /api/2.0/mlflow/runs/set-tag /api/2.0/mlflow/runs/delete-tag /api/2.0/mlflow/runs/log-batch
POST /api/2.0/mlflow/runs/log-metric /api/2.0/mlflow/runs/log-parameter /api/2.0/mlflow/runs/log-model
POST /api/2.0/mlflow/runs/log-inputs /api/2.0/mlflow/runs/outputs /api/2.0/mlflow/upload-artifact
POST /api/2.0/mlflow/logged-models /api/2.0/mlflow/logged-models/<model_id>/params
PATCH /api/2.0/mlflow/logged-models/<model_id> /api/2.0/mlflow/logged-models/<model_id>/tags
DELETE /api/2.0/mlflow/logged-models/<model_id> /api/2.0/mlflow/logged-models/<model_id>/tags/<tag_key>
PUT /api/2.0/mlflow-artifacts/artifacts/<path*>
DELETE /api/2.0/mlflow-artifacts/artifacts/<path*>
POST /api/2.0/mlflow-artifacts/mpu/create/<path*> /api/2.0/mlflow-artifacts/mpu/complete/<path*>
POST /api/2.0/mlflow-artifacts/mpu/abort/<path*>
POST /api/2.0/mlflow/traces /api/2.0/mlflow/traces/delete-traces /api/2.0/mlflow/traces/link-prompts
POST /api/2.0/mlflow/traces/link-to-run
PATCH /api/2.0/mlflow/traces/<request_id> /api/2.0/mlflow/traces/<request_id>/tags
DELETE /api/2.0/mlflow/traces/<request_id>/tags
POST /v1/traces
POST /api/3.0/mlflow/traces /api/3.0/mlflow/traces/<trace_id>/assessments /api/3.0/mlflow/traces/delete-traces
PATCH /api/3.0/mlflow/traces/<trace_id>/tags /api/3.0/mlflow/traces/<trace_id>/assessments/<assessment_id>
DELETE /api/3.0/mlflow/traces/<trace_id>/tags /api/3.0/mlflow/traces/<trace_id>/assessments/<assessment_id>
POST /api/3.0/mlflow/datasets/create /api/3.0/mlflow/datasets/<dataset_id>/records
POST /api/3.0/mlflow/datasets/<dataset_id>/add-experiments /api/3.0/mlflow/datasets/<dataset_id>/remove-experiments
PATCH /api/3.0/mlflow/datasets/<dataset_id>/tags
DELETE /api/3.0/mlflow/datasets/<dataset_id> /api/3.0/mlflow/datasets/<dataset_id>/records
DELETE /api/3.0/mlflow/datasets/<dataset_id>/tags/<key>
POST /api/3.0/mlflow/issues
PATCH /api/3.0/mlflow/issues/<issue_id>
POST /api/3.0/mlflow/label-schemas/create
PATCH /api/3.0/mlflow/label-schemas/update
DELETE /api/3.0/mlflow/label-schemas/delete
POST /api/3.0/mlflow/review-queues/create /api/3.0/mlflow/review-queues/delete /api/3.0/mlflow/review-queues/update
POST /api/3.0/mlflow/review-queues/items/add /api/3.0/mlflow/review-queues/items/remove
POST /api/3.0/mlflow/review-queues/items/set-status
POST /api/3.0/mlflow/review-queues/get-or-create-user
POST /api/3.0/mlflow/scorers/register
DELETE /api/3.0/mlflow/scorers/delete
"""

_REGISTRY = """
POST /api/2.0/mlflow/registered-models/create /api/2.0/mlflow/registered-models/rename
POST /api/2.0/mlflow/registered-models/set-tag /api/2.0/mlflow/registered-models/alias
PATCH /api/2.0/mlflow/registered-models/update
DELETE /api/2.0/mlflow/registered-models/delete /api/2.0/mlflow/registered-models/delete-tag
DELETE /api/2.0/mlflow/registered-models/alias
POST /api/2.0/mlflow/model-versions/create /api/2.0/mlflow/model-versions/set-tag
POST /api/2.0/mlflow/model-versions/transition-stage
PATCH /api/2.0/mlflow/model-versions/update
DELETE /api/2.0/mlflow/model-versions/delete /api/2.0/mlflow/model-versions/delete-tag
"""

# listed one by one or by prefix, so that a new route of MLflow is neither: the test that walks MLflow's routes then fails
CLOSED_PREFIXES = (
    # they call model providers with secrets that the server holds
    "/api/3.0/mlflow/gateway/",
    "/gateway/",
    "/api/2.0/mlflow/gateway-proxy",
    # they send the registry's events to any address
    "/api/2.0/mlflow/webhooks",
    # they run code in the server
    "/api/3.0/jobs",
    "/api/3.0/mlflow/jobs/",
    "/api/3.0/mlflow/assistant",
    "/api/3.0/mlflow/demo/",
    "/api/3.0/mlflow/genai/",
    "/api/3.0/mlflow/issues/invoke",
    "/api/3.0/mlflow/prompt-optimization/",
    "/api/3.0/mlflow/scorer/invoke",
    "/api/2.0/mlflow/runs/create-promptlab-run",
    # they name servers that programs should call
    "/api/3.0/mlflow/mcp-servers",
    # they hand out addresses of the store itself, past the door
    "/api/2.0/mlflow/artifacts/presigned-",
    "/api/2.0/mlflow-artifacts/presigned/",
)
CLOSED_ROUTES = frozenset(
    {
        ("POST", "/api/3.0/mlflow/workspaces"),
        ("PATCH", "/api/3.0/mlflow/workspaces/<name>"),
        ("DELETE", "/api/3.0/mlflow/workspaces/<name>"),
        ("PUT", "/api/3.0/mlflow/scorers/online-config"),
        # it would send what people do in the page to another company
        ("POST", "/api/3.0/mlflow/ui-telemetry"),
        ("POST", "/api/2.0mlflow/experiments/search-datasets"),
    }
)


def _lines(text: str, access: Access) -> dict[tuple[str, str], Access]:
    return {
        (method, path): access
        for line in text.strip().splitlines()
        for method, *paths in [line.split()]
        for path in paths
    }


TABLE: dict[tuple[str, str], Access] = {
    **_lines(_READS, Access.READ),
    **_lines(_WRITES, Access.WRITE),
    **_lines(_REGISTRY, Access.REGISTRY),
    ("GET", "/health"): Access.PUBLIC,
    **dict.fromkeys(CLOSED_ROUTES, Access.CLOSED),
}


def _pattern(template: str) -> re.Pattern[str]:
    escaped = re.sub(r"<[^>]*\*>", ".+", template)
    return re.compile(re.sub(r"<[^>]*>", "[^/]+", escaped))


_EXACT = {key: access for key, access in TABLE.items() if "<" not in key[1]}
_PATTERNS = [(key[0], _pattern(key[1]), key[1], access) for key, access in TABLE.items() if "<" in key[1]]


def canonical(path: str) -> str:
    """Return the path under which the table knows it."""
    return f"/api/{path.removeprefix('/ajax-api/')}" if path.startswith("/ajax-api/") else path


def route_of(method: str, path: str) -> Route:
    """Return what a request is and needs; CLOSED for what the table does not name. `path` is decoded once.

    Raises PathNotPlain for what MLflow's own parts might read as another path than this table does.
    """
    # MLflow decodes the path of an artifact again and again, until nothing is left to decode
    if unquote(path) != path or _CONTROL.search(path) or "//" in path or not path.startswith("/"):
        raise PathNotPlain
    if ".." in path.split("/"):
        raise PathNotPlain
    named, asked = canonical(path), "GET" if method == "HEAD" else method
    if named.startswith(CLOSED_PREFIXES):
        return Route(Access.CLOSED, asked, named)
    if (access := _EXACT.get((asked, named))) is not None:
        return Route(access, asked, named)
    for known, pattern, template, found in _PATTERNS:
        if known == asked and pattern.fullmatch(named):
            return Route(found, asked, template)
    return Route(Access.CLOSED, asked, named)
