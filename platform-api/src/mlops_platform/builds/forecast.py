"""What the platform will do with a model that nobody registered yet, read from a build of it. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mlops_platform.policy.definition import ENVIRONMENTS, RISK_LEVELS, Environment, Policy, RiskLevel

Standing = Literal["good", "mind", "stop"]
# step of the build -> what a scientist calls it, in the order of reading
_TOPICS = {
    "format": "files",
    "scan": "scan",
    "code": "code",
    "environment": "environment",
    "versions": "libraries",
    "load": "model",
    "schema": "inputs",
    "compile": "predictions",
    "parity": "proof",
}
_STANDING: dict[str, Standing] = {"passed": "good", "skipped": "good", "warning": "mind", "failed": "stop"}
_FEWEST_ROWS = 2


@dataclass(frozen=True)
class Line:
    """One thing that will happen: `stop` means the platform refuses the model for it."""

    topic: str
    standing: Standing
    sentence: str
    to_do: str = ""


@dataclass(frozen=True)
class Way:
    """What a version of this risk needs on its way into an environment."""

    environment: Environment
    approvers: tuple[str, ...]
    gates: tuple[str, ...]
    refused: str | None
    """Why the policy takes no such model there at all; None when it may."""

    @property
    def sentence(self) -> str:
        """Say it in words."""
        if self.refused:
            return f"{self.environment}: not possible: {self.refused}"
        who = " and ".join(self.approvers) if self.approvers else "nobody must agree"
        gates = f"; before it, the gates {', '.join(self.gates)}" if self.gates else ""
        return f"{self.environment}: {who}{gates}"


def lines(report: Mapping[str, Any], explained: tuple[bool, str] | None) -> list[Line]:
    """Return what a build found, one line a topic; `explained`: whether a row of the example was explained, and how or why not."""
    steps = {step["name"]: step for step in report["steps"]}
    found = [
        Line(topic, _STANDING[steps[name]["status"]], steps[name]["detail"], _to_do(name, steps[name]))
        for name, topic in _TOPICS.items()
        if name in steps and not (name == "parity" and steps[name]["status"] == "skipped")
    ]
    if report["verdict"] != "built" and not any(line.standing == "stop" for line in found):
        found.append(Line("build", "stop", str(report["detail"])))
    return [*found, *_about_examples(steps, explained)]


def _to_do(name: str, step: Mapping[str, Any]) -> str:
    if name == "schema" and step.get("origin") == "model":
        return (
            "log it with signature=infer_signature(frame, model.predict(frame)): requests are then checked against the types "
            "you trained with"
        )
    if name == "versions" and step["status"] == "warning":
        return "train with the versions that will load it, or compare its answers before you ask for production"
    if name == "code" and step["status"] == "warning":
        return "approvers will see these files; see below where the policy allows code of a model's own"
    return ""


def _about_examples(steps: Mapping[str, Mapping[str, Any]], explained: tuple[bool, str] | None) -> Iterator[Line]:
    background = steps.get("background")
    if background is None:
        return
    rows = int(background.get("example_rows", 0))
    if rows < _FEWEST_ROWS:
        yield Line(
            "example",
            "mind",
            f"{rows or 'no'} row{'' if rows == 1 else 's'} to ask it with",
            "log it with input_example=frame.head(40): gates ask the model with it, and explanations compare with it",
        )
    else:
        yield Line("example", "good", str(background["detail"]))
    if explained is not None:
        yield Line("explanations", "good" if explained[0] else "mind", explained[1])


def ways(policy: Policy, code: str) -> dict[RiskLevel, list[Way]]:
    """Return what each risk level needs for each environment; `code` is what the build found (none, declared)."""
    return {level: [_way(policy, environment, level, code) for environment in ENVIRONMENTS] for level in RISK_LEVELS}


def _way(policy: Policy, environment: Environment, level: RiskLevel, code: str) -> Way:
    needed = policy.requirements(environment, level)
    approvers = tuple(f"{each.count} x {each.role}" if each.count > 1 else str(each.role) for each in needed)
    refused = policy.why_no_code(environment, level) if code == "declared" else None
    return Way(environment, approvers, tuple(policy.required_gates(environment, level)), refused)
