"""The platform as the CLI reaches it: one HTTP client, and every failure turned into a sentence and an exit code."""

import os
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from mlops_platform.cli.exits import CommandFailed, Exit
from mlops_platform.local import state as states
from mlops_platform.local.home import Home
from mlops_platform.local.login import ProviderRefused, current_token
from mlops_platform.local.service_login import ServiceTokens, client

_PATIENCE_SECONDS = 60.0
_PAGE = 100


@dataclass
class Connection:
    """Where the platform is and who is calling; filled from the options before the command."""

    url: str | None = None
    token: str | None = None
    home: Path | None = None


connection = Connection()
_service_tokens = ServiceTokens()


def base_url() -> str:
    """Return --url, MLOPS_URL, or the URL of the platform that runs in the home folder. Raises CommandFailed (3)."""
    if chosen := connection.url or os.environ.get("MLOPS_URL"):
        return chosen.rstrip("/")
    home = Home.at(connection.home)
    state = states.read(home.run / "state.json")
    if state is None or "platform" not in state.urls or not home.held():
        raise CommandFailed(
            Exit.UNREACHABLE,
            f"no platform runs in {home.folder}",
            "start it with `mlops up`, or say where it is: MLOPS_URL=https://... (or --home DIR)",
        )
    return state.urls["platform"]


def token() -> str | None:
    """Return --token, MLOPS_TOKEN, what the file MLOPS_TOKEN_FILE holds now, a token for the client MLOPS_CLIENT_ID, or what
    `mlops login` or `mlops token --save` kept; None when there is none. Raises CommandFailed.
    """
    if chosen := connection.token or os.environ.get("MLOPS_TOKEN"):
        return chosen.strip()
    if file := os.environ.get("MLOPS_TOKEN_FILE"):
        try:
            return Path(file).read_text().strip()
        except (OSError, ValueError) as error:
            raise CommandFailed(
                Exit.USAGE, "the file that MLOPS_TOKEN_FILE names cannot be read", "correct it"
            ) from error
    try:
        service = client()
        if service is not None:
            return _service_tokens.token(base_url(), service)
    except ProviderRefused as refused:
        raise CommandFailed(Exit.REFUSED, refused.sentence, "correct MLOPS_CLIENT_ID and its secret") from refused
    return current_token(Home.at(connection.home))


def call(
    method: str,
    path: str,
    *,
    body: Any = None,
    params: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> Any:
    """Return the JSON answer of the platform (None for an empty one). Raises CommandFailed."""
    # httpx takes a fifth of a second to import: `mlops --help` does without
    import httpx

    bearer = token()
    sent = {**({"Authorization": f"Bearer {bearer}"} if bearer else {}), **(headers or {})}
    url = base_url()
    try:
        answer = httpx.request(
            method,
            url + path,
            json=body,
            params={name: value for name, value in (params or {}).items() if value is not None},
            headers=sent,
            timeout=_PATIENCE_SECONDS,
            # a proxy of the environment must not see calls to this machine
            trust_env=not url.startswith(("http://127.0.0.1", "http://localhost")),
        )
    except httpx.InvalidURL as error:
        raise CommandFailed(Exit.USAGE, f"{url} is not a URL", "correct --url or MLOPS_URL") from error
    except httpx.HTTPError as error:
        raise CommandFailed(
            Exit.UNREACHABLE,
            f"the platform at {url} does not answer ({type(error).__name__})",
            "see `mlops status`; start it with `mlops up`",
        ) from error
    if answer.is_success:
        return answer.json() if answer.content else None
    raise _failure(answer.status_code, answer.content, has_token=bearer is not None)


def pages(path: str, params: dict[str, Any], most: int, key: str = "items") -> dict[str, Any]:
    """Return up to `most` entries of a cursor-paged list: the last page's answer, with all entries under `key`."""
    found: list[Any] = []
    cursor: str | None = None
    while True:
        wanted = min(_PAGE, most - len(found))
        answer: dict[str, Any] = call("GET", path, params={**params, "limit": wanted, "cursor": cursor})
        found += answer[key]
        cursor = answer.get("next_cursor")
        if cursor is None or len(found) >= most:
            return {**answer, key: found}


def _failure(status: int, content: bytes, *, has_token: bool) -> CommandFailed:
    import json

    try:
        problem = json.loads(content)
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {"status": status, "title": f"the platform answered {status}"}
    sentence = str(
        problem.get("detail") or problem.get("error") or problem.get("title") or f"the platform answered {status}"
    )
    if status == HTTPStatus.UNAUTHORIZED:
        todo = (
            "your token is not valid (any more): mlops login"
            if has_token
            else "sign in: mlops login (for scripts: MLOPS_TOKEN; on a laptop also mlops token EMAIL --role ROLE --save)"
        )
        return CommandFailed(Exit.REFUSED, sentence, todo, problem)
    if status == HTTPStatus.FORBIDDEN:
        return CommandFailed(
            Exit.REFUSED, sentence, "ask somebody with the role, or use a token that carries it", problem
        )
    todo = {
        HTTPStatus.NOT_FOUND: "check the name (the `list` commands show what you may see)",
        HTTPStatus.SERVICE_UNAVAILABLE: "try again in a few seconds; `mlops status` shows what does not answer",
    }.get(HTTPStatus(status), "")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and not todo:
        todo = f"report it with the request id {problem.get('request_id', '(none)')}"
    return CommandFailed(Exit.PROBLEM, sentence, todo, problem)
