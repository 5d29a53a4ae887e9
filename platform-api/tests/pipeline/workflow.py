"""Runs a workflow's own commands here: the jobs in order, with their conditions, environment and `mlops pipeline` steps."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
PIPELINE = ROOT / "cicd" / "model-deployment-pipeline.yaml"

# what workflows of this house use: names with dots, texts, ==, && and ||
_NAME = re.compile(r"'[^']*'|\b[a-z_]+(?:\.[A-Za-z_]+)+")
_GITHUB = {"server_url": "https://github.example", "repository": "team/models", "run_id": "42", "actor": "ana"}


def load(path: Path = PIPELINE) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    return content


def commands(workflow: Mapping[str, Any]) -> dict[str, str]:
    """Return each job's `mlops pipeline` command."""
    found = {}
    for name, job in workflow["jobs"].items():
        [found[name]] = [step["run"] for step in job["steps"] if "mlops pipeline" in step.get("run", "")]
    return found


@dataclass
class Run:
    """What a run came to."""

    results: dict[str, str] = field(default_factory=dict)
    output: dict[str, str] = field(default_factory=dict)


def run(
    inputs: Mapping[str, str],
    environment: Mapping[str, str],
    *,
    before: Mapping[str, Callable[[], None]] | None = None,
    append: Mapping[str, str] | None = None,
) -> Run:
    """Run the deployment pipeline as GitHub would, each job after what it needs; `before` acts as the outside world."""
    workflow, done = load(), Run()
    contexts: dict[str, Any] = {
        "inputs": dict(inputs),
        "github": _GITHUB,
        "vars": {"MLOPS_URL": environment["MLOPS_URL"]},
        "secrets": {},
        "needs": {},
    }
    for name, job in workflow["jobs"].items():
        needs = job.get("needs", [])
        assert set(needs) <= set(done.results), "a job comes after what it needs"
        if job.get("if") != "always()" and any(done.results[one] != "success" for one in needs):
            done.results[name] = "skipped"
        else:
            if before and name in before:
                before[name]()
            done.results[name] = _job(
                name, job, workflow["env"], contexts, environment, (append or {}).get(name, ""), done
            )
        contexts["needs"][name] = {"result": done.results[name]}
    return done


def _job(
    name: str,
    job: Mapping[str, Any],
    shared: Mapping[str, str],
    contexts: Mapping[str, Any],
    environment: Mapping[str, str],
    append: str,
    done: Run,
) -> str:
    [step] = [step for step in job["steps"] if "mlops pipeline" in step.get("run", "")]
    declared = {**shared, **job.get("env", {}), **step.get("env", {})}
    env = {key: str(evaluate(value, contexts)) for key, value in declared.items()}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MLOPS_")}
    ran = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", f"{step['run'].strip()} {append}"],
        env={**clean, **env, **environment, "PATH": path},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    done.output[name] = ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr, ran.stderr
    return "success" if ran.returncode == 0 else "failure"


def evaluate(text: object, contexts: Mapping[str, Any]) -> str:
    """Return a value with its `${{ }}` expressions filled in."""

    def fill(match: re.Match[str]) -> str:
        def name(found: re.Match[str]) -> str:
            if found[0].startswith("'"):
                return found[0]
            value: Any = contexts
            for part in found[0].split("."):
                value = value.get(part, "")
            return repr(str(value))

        expression = _NAME.sub(name, match[1]).replace("&&", " and ").replace("||", " or ")
        return str(eval(expression, {"__builtins__": {}}))

    return re.sub(r"\$\{\{(.*?)\}\}", fill, str(text))
