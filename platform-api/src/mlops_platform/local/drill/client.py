"""A client that predicts and operates, and writes down what it was told is done, for as long as it is let."""

import random
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx

from mlops_platform.audit.actions import Action
from mlops_platform.audit.witness import consistency_problems, kept_head
from mlops_platform.identity.development import DevelopmentIssuer
from mlops_platform.kit.clock import now
from mlops_platform.kit.ids import new_id
from mlops_platform.local.drill.journal import Acknowledged
from mlops_platform.local.home import Home
from mlops_platform.local.issuer import issuer_and_audience

MODEL = "drill"
_ROW = {"age": 1.0, "income": 0.5, "visits": 0.1}


class NoAnswer(Exception):
    """What a drill waits for has not happened; the sentence says what."""


class Client:
    """People of a platform at one URL; `home` holds the issuer's key."""

    def __init__(self, home: Home, url: str) -> None:
        issuer, audience = issuer_and_audience(home)
        minting = DevelopmentIssuer(home.folder / "keys", issuer, audience, "development")
        self._headers = {
            role: {"Authorization": f"Bearer {minting.mint(f'{role}@drill', [role], 'default', 8 * 3_600)}"}
            for role in ("data-scientist", "auditor")
        }
        self._http = httpx.Client(base_url=url, timeout=10)

    def ask(self, method: str, path: str, role: str = "data-scientist", **more: Any) -> httpx.Response:
        """Send a request. Raises httpx.HTTPError when there is no answer."""
        return self._http.request(method, path, headers=self._headers[role], **more)

    def predict(self) -> tuple[str, Any] | None:
        """Return the id and the answer of a prediction, None when it was not answered well."""
        try:
            answer = self.ask("POST", "/api/v1/predict", json={"model_name": MODEL, "input_data": _ROW})
        except httpx.HTTPError:
            return None
        return (answer.json()["prediction_id"], answer.json()["prediction"]) if answer.is_success else None

    def deploy(self) -> str:
        """Deploy the drill's model to staging; return the deployment's id."""
        body = {"model_name": MODEL, "model_version": "1", "target_stage": "staging", "justification": "drill"}
        answer = self.ask("POST", "/api/v1/models/deploy", json=body)
        answer.raise_for_status()
        return str(answer.json()["deployment_id"])

    def operate(self, deployment: str, operation: str) -> str | None:
        """Pause or resume; return the reason that the audit log now has, None when it was not answered well."""
        reason = new_id()
        try:
            answer = self.ask("POST", f"/api/v1/deployments/{deployment}/{operation}", json={"reason": reason})
        except httpx.HTTPError:
            return None
        return reason if answer.is_success else None

    def head(self) -> dict[str, Any] | None:
        """Return the newest signed head, None when nobody answers."""
        try:
            answer = self.ask("GET", "/api/v1/audit/heads/latest", "auditor")
        except httpx.HTTPError:
            return None
        return dict(answer.json()) if answer.is_success else None

    def reasons(self) -> set[str]:
        """Return the reasons of every operation that the audit log holds."""
        found: set[str] = set()
        cursor = None
        while True:
            asked = {"action": Action.DEPLOYMENT_OPERATED.value, "limit": 100, **({"cursor": cursor} if cursor else {})}
            page = self.ask("GET", "/api/v1/audit/events", "auditor", params=asked).json()
            found |= {str(event["details"].get("reason")) for event in page["items"]}
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    def verification(self) -> dict[str, Any]:
        """Return what the platform finds when it reads its whole audit log."""
        while True:
            found = self.ask("GET", "/api/v1/audit/verify", "auditor", params={"full": "true"}, timeout=90)
            if found.status_code != httpx.codes.ACCEPTED:
                return dict(found.json())

    def broken_promises(self, kept: dict[str, Any]) -> list[str]:
        """Return why the log does not continue a head that was kept."""
        answer = self.ask("GET", "/api/v1/audit/proofs/consistency", "auditor", params={"first": kept["size"]})
        if not answer.is_success:
            return [f"the platform cannot prove that its log continues event {kept['size']}"]
        return consistency_problems(kept_head(kept), answer.json())


class Load:
    """Writes from two threads until it is stopped; what was acknowledged is in `written`, in `heads` what heads were seen, and when."""

    def __init__(self, client: Client, deployment: str) -> None:
        self._client = client
        self._deployment = deployment
        self._stop = threading.Event()
        self.written: list[Acknowledged] = []
        self.heads: list[tuple[datetime, dict[str, Any]]] = []
        self.answers: list[Any] = []
        self._threads = [
            threading.Thread(target=self._again, args=(work, pause))
            for work, pause in ((self._predict, 0.1), (self._operate, 0.5))
        ]
        self._operation = "pause"

    def start(self) -> None:
        """Begin to write."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Write no more; return when the last answer is there."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def last(self, kind: str) -> float:
        """Return when a write of this kind was last acknowledged (Unix seconds), 0 for never."""
        return max((one.at.timestamp() for one in self.written[-200:] if one.kind == kind), default=0.0)

    def _again(self, work: Callable[[], None], pause: float) -> None:
        while not self._stop.wait(pause * random.uniform(0.5, 1.5)):  # noqa: S311 - pauses, not secrets
            work()

    def _predict(self) -> None:
        found = self._client.predict()
        if found is not None:
            self.written.append(Acknowledged("prediction", found[0], now()))
            self.answers.append(found[1])

    def _operate(self) -> None:
        reason = self._client.operate(self._deployment, self._operation)
        # 409: the one before came through, and its answer was lost
        self._operation = "resume" if self._operation == "pause" else "pause"
        if reason is not None:
            self.written.append(Acknowledged("operation", reason, now()))
        head = self._client.head()
        if head is not None:
            self.heads.append((now(), head))


def wait_until(true: Callable[[], bool], seconds: float, what: str) -> float:
    """Wait until something is true; return how long it took. Raises NoAnswer."""
    began = time.monotonic()
    while not true():
        if time.monotonic() - began > seconds:
            raise NoAnswer(f"{what} has not happened within {seconds:g} s")
        time.sleep(0.05)
    return time.monotonic() - began
