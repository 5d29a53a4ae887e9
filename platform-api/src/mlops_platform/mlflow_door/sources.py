"""What a new version is made of belongs to the team that registers it; nobody looks above the teams' folders.

MLflow looks up the run that `source` or `run_id` names in no workspace. A version that names another team's run would hold that
run's artifacts fast, as bytes of a registered version.
"""

import re
from urllib.parse import parse_qsl, quote, unquote

from mlops_platform.audit.actions import Action
from mlops_platform.errors import Forbidden, NotFound
from mlops_platform.mlflow_door.access import Route
from mlops_platform.mlflow_door.changes import Change
from mlops_platform.mlflow_door.forwarding import whole
from mlops_platform.mlflow_door.interfaces import MlflowNotAnswering, Outgoing, Upstream

_LISTING = "/api/2.0/mlflow-artifacts/artifacts"
_RUN = re.compile(r"runs:/+([^/]+)")
_LOGGED_MODEL = re.compile(r"models:/+(m-[^/]+)")


class SourceNotFound(NotFound):
    """The version names a run or a logged model that the caller's team does not have."""

    title = "The team has no such run or logged model"

    def __init__(self, what: str) -> None:
        super().__init__(f"Your team has no {what} in MLflow; name one of its own as run_id, model_id and source.")


class AllTeamsFolder(Forbidden):
    """The folder that holds every team's folder would be listed."""

    title = "This folder is above the teams' own"

    def __init__(self) -> None:
        super().__init__("Name a folder of your own runs; the names of other teams are not yours to list.")


def named_by(change: Change) -> list[tuple[str, str]]:
    """Return each run and logged model that a new version names, with the request that asks for it."""
    source = _plain(str(change.body.get("source") or ""))
    runs = {str(change.body.get("run_id") or ""), *_RUN.findall(source)} - {""}
    models = {str(change.body.get("model_id") or ""), *_LOGGED_MODEL.findall(source)} - {""}
    return [
        *((f"run '{run}'", f"/api/2.0/mlflow/runs/get?run_id={quote(run, safe='')}") for run in sorted(runs)),
        *((f"logged model '{one}'", f"/api/2.0/mlflow/logged-models/{quote(one, safe='')}") for one in sorted(models)),
    ]


async def refuse_foreign(upstream: Upstream, workspace: str, change: Change) -> None:
    """Raise SourceNotFound when a new version names a run or a logged model of another workspace, or none.

    Raises MlflowNotAnswering too.
    """
    if change.action is not Action.MODEL_VERSION_REGISTERED:
        return
    for what, target in named_by(change):
        answer = await whole(upstream, Outgoing("GET", target, workspace))
        if answer.status >= 500:  # noqa: PLR2004 - MLflow's own trouble
            raise MlflowNotAnswering
        if answer.status != 200:  # noqa: PLR2004 - the status itself
            raise SourceNotFound(what)


def refuse_listing_teams(route: Route, query: str) -> None:
    """Raise AllTeamsFolder for a listing of the folder that every other team's folder is in."""
    if route.template != _LISTING:
        return
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name == "path" and [part for part in _plain(value).strip().split("/") if part not in {"", "."}] == [
            "workspaces"
        ]:
            raise AllTeamsFolder


def _plain(text: str) -> str:
    """Decode as MLflow does, until nothing is left to decode."""
    while (decoded := unquote(text)) != text:
        text = decoded
    return text
