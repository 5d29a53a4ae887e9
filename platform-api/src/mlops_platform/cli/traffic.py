"""A deployed version under real requests through the platform's own API, as its callers would send them."""

import math
import time
from typing import Any, Self

from mlops_platform.checks.policy import Figures, figures
from mlops_platform.cli.api import call
from mlops_platform.cli.exits import CommandFailed, Exit

_ANSWERING = frozenset({"rolling_out", "live", "standby"})


def answering(name: str, version: int, environment: str | None = None) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return the deployment and the revision that serve a version, in the given environment or any; staging first."""
    found = call("GET", "/api/v1/deployments", params={"model_name": name, "environment": environment})["items"]
    for deployment in sorted(found, key=lambda one: one["environment"] != "staging"):
        detail = call("GET", f"/api/v1/deployments/{deployment['id']}")
        for revision in detail["revisions"]:
            if revision["version"] == version and revision["state"] in _ANSWERING:
                return detail, revision
    return None


def measure(
    name: str, version: int, environment: str, rows: list[dict[str, Any]], *, warm_up: int, requests: int
) -> Figures:
    """Time one prediction request after the other; an answer that is no success is an error. Raises CommandFailed."""
    client = Client()
    body = {"model_name": name, "model_version": str(version), "environment": environment}
    with client:
        for number in range(warm_up):
            client.ask({**body, "input_data": rows[number % len(rows)]})
        answered: list[float] = []
        errors = 0
        for number in range(requests):
            began = time.perf_counter()
            if client.ask({**body, "input_data": rows[number % len(rows)]}):
                answered.append(time.perf_counter() - began)
            else:
                errors += 1
    return figures(answered, errors)


class Client:
    """One connection that stays open, as a caller in production keeps it."""

    def __init__(self) -> None:
        import httpx

        from mlops_platform.cli.api import base_url, token

        self._httpx = httpx
        url, bearer = base_url(), token()
        self._client = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {bearer}"} if bearer else {},
            timeout=10,
            # a proxy of the environment must not see calls to this machine
            trust_env=not url.startswith(("http://127.0.0.1", "http://localhost")),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def ask(self, body: dict[str, Any]) -> bool:
        """Return whether the prediction was answered with success."""
        try:
            return self._client.post("/api/v1/predict", json=body).is_success
        except self._httpx.HTTPError:
            return False


def smoke(
    name: str, version: int, environment: str, revision: int, rows: Any, *, explain: bool
) -> tuple[list[str], dict[str, Any]]:
    """Return what is wrong with a real prediction (nothing: it passed), and the answer."""
    body = {
        "model_name": name,
        "model_version": str(version),
        "environment": environment,
        "input_data": rows,
        "return_explanations": explain,
    }
    try:
        answer = _predict_once_routed(body)
    except CommandFailed as failed:
        if failed.code in {Exit.UNREACHABLE, Exit.REFUSED}:
            raise
        return [f"the prediction was refused: {failed.sentence}"], {}
    return problems(answer, version, revision, len(rows) if isinstance(rows, list) else 1, explain=explain), answer


def problems(answer: dict[str, Any], version: int, revision: int, rows: int, *, explain: bool) -> list[str]:
    """Return what is wrong with an answer: another version or revision, a missing or senseless value."""
    found = []
    if answer.get("model_version") != str(version):
        found.append(f"version {answer.get('model_version')} answered instead of {version}")
    if answer.get("revision") != revision:
        found.append(f"revision {answer.get('revision')} answered instead of {revision}")
    predicted = answer.get("prediction") or []
    if len(predicted) != rows:
        found.append(f"{len(predicted)} predictions for {rows} rows")
    flat = [value for one in predicted for value in (one if isinstance(one, list) else [one])]
    if any(value is None or (isinstance(value, float) and not math.isfinite(value)) for value in flat):
        found.append("a prediction is not a finite number")
    explanation = answer.get("explanations") or {}
    if explain and "shap_values" not in explanation:
        found.append(
            f"no explanation: {explanation.get('detail') or explanation.get('error') or 'the answer has none'}"
        )
    return found


def _predict_once_routed(body: dict[str, Any], seconds: float = 10) -> dict[str, Any]:
    """Predict; a version that has just been rolled out is given the time routes need to reach every API process."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            answer: dict[str, Any] = call("POST", "/api/v1/predict", body=body)
        except CommandFailed as failed:
            not_routed = (failed.problem or {}).get("status") in {404, 503}
            if not not_routed or time.monotonic() > deadline:
                raise
            time.sleep(0.3)
        else:
            return answer
