"""The three confined processes of a build, one after the other, and what each may say.

inspection: reads the files, never loads the model. model: loads it; all it says are claims. proof: never loads it, judges the
claims. A process can only report the steps that are its own, so a hostile model cannot report that its scan passed.
"""

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from model_server.build.report import Report
from model_server.libraries.found import Libraries
from model_server.refusals import Refused
from model_server.sandbox.isolation import Outcome, run_isolated
from model_server.sandbox.limits import Limits
from model_server.template.spawner import Spawner

Stage = Literal["inspection", "model", "proof"]
_MODULES: dict[Stage, str] = {
    "inspection": "model_server.build.inspect",
    "model": "model_server.build.worker",
    "proof": "model_server.build.prove",
}
_STEPS: dict[Stage, tuple[str, ...]] = {
    "inspection": ("scan", "code", "versions"),
    "model": ("load", "schema", "compile", "rows"),
    "proof": ("background", "parity"),
}
_LAST: dict[Stage, str] = {"inspection": "done", "model": "described", "proof": "proven"}
_DESCRIBED = ("flavor", "task", "labels", "positive_label", "inputs", "native_input", "answer", "joined_rows")
_CODE = re.compile(r"[a-z][a-z0-9_]{0,59}")
_STATUSES = ("passed", "failed", "warning", "skipped")
_LONGEST = 2_000


class Stages:
    """Runs the processes on the tree in `scratch/native` and writes their steps into the report."""

    def __init__(
        self,
        scratch: Path,
        report: Report,
        limits: Limits,
        sandbox: str,
        starter: Spawner | None = None,
        libraries: Libraries | None = None,
    ) -> None:
        self._scratch = scratch
        self._native = scratch / "native"
        self._report = report
        self._limits = limits
        self._sandbox = sandbox
        self._starter = starter
        self._libraries = libraries

    def inspect(self) -> dict[str, Any]:
        """Look into every file; return what they say: code, parameters, what becomes of extra inputs, whether the owner calls
        rows independent. Raises Refused.
        """
        own = self._libraries
        readable = [self._native] if own is None else [self._native, own.folder]
        # their versions are read, nothing of them is imported
        more = {} if own is None else {"libraries": asdict(own) | {"folder": str(own.folder)}}
        said, _ = self._run("inspection", readable, more)
        known = said.get("code") in ("none", "declared") and said.get("extra_inputs") in ("refuse", "ignore")
        known = known and said.get("independent_rows") in (None, True, False)
        if not known or not isinstance(said.get("params"), list):
            raise Refused("build_inconsistent", "The isolated inspection returned an incomplete description.")
        return {name: said[name] for name in ("code", "params", "extra_inputs", "independent_rows")}

    def load(self) -> tuple[dict[str, Any], bool, Path]:
        """Load the model; return what it says of itself, whether it offers a graph, and the folder of the offer."""
        said, folder = self._run("model", [self._native], {})
        content = said.get("content")
        if not isinstance(content, dict) or not all(name in content for name in _DESCRIBED):
            raise Refused("build_inconsistent", "The isolated build returned an incomplete description.")
        return {name: content[name] for name in _DESCRIBED}, said.get("offered") is True, folder

    def prove(self, described: dict[str, Any], offered: bool, offer: Path) -> tuple[dict[str, Any], Path]:
        """Judge an offer; return the bundle's description and the folder with its files."""
        said, folder = self._run(
            "proof",
            [self._native, offer],
            {"described": described, "offered": offered, "offer": str(offer)},
        )
        onnx = said.get("onnx")
        return {**described, "onnx": onnx, "engine": "onnx" if onnx else "process"}, folder

    def _run(self, stage: Stage, readable: list[Path], more: dict[str, Any]) -> tuple[dict[str, Any], Path]:
        work = self._scratch / stage
        produced = work / "produced"
        produced.mkdir(parents=True)
        request = {
            **more,
            "source": str(self._native),
            "output": str(produced),
            "readable": [str(path) for path in readable],
            "sandbox": self._sandbox,
        }
        # only the model is loaded in its own libraries: what judges it stays the platform's
        libraries = self._libraries if stage == "model" else None
        outcome = run_isolated(_MODULES[stage], request, work, self._limits, self._starter, libraries)
        return self._taken(stage, outcome), produced

    def _taken(self, stage: Stage, outcome: Outcome) -> dict[str, Any]:
        """Take over the steps that are this process's own, each once. Raises Refused with what it said or how it ended."""
        waiting = list(_STEPS[stage])
        started: str | None = None
        for event in outcome.events:
            kind, step = event["event"], event.get("step")
            if kind == "sealed" and stage not in self._report.sandbox:
                self._report.sandbox[stage] = {name: event.get(name) for name in ("holds", "missing")}
            elif kind == "start" and step in waiting:
                started = str(step)
            elif kind == "step" and isinstance(step, dict) and step.get("name") in waiting:
                waiting.remove(step["name"])
                self._report.steps.append(_step(step, stage))
                started = None
            elif kind == "refused":
                code, sentence = str(event.get("code")), str(event.get("sentence"))[:_LONGEST]
                raise Refused(code if _CODE.fullmatch(code) else "load_failed", sentence)
            elif kind == _LAST[stage] and not waiting:
                return event
        raise self._killed(outcome, started or (waiting or _STEPS[stage])[0])

    def _killed(self, outcome: Outcome, step: str) -> Refused:
        sentences = {
            "timeout": f"The step '{step}' did not end within {self._limits.timeout_seconds:g} seconds.",
            "cpu_time_exceeded": f"The step '{step}' used more than {self._limits.cpu_seconds} seconds of processor time.",
            "disk_exceeded": f"The step '{step}' wrote more to disk than a build may.",
            "output_exceeded": f"The step '{step}' reported more than a build may.",
        }
        ended = outcome.ended if outcome.ended in sentences else "crashed"
        sentence = sentences.get(ended, f"The step '{step}' ended the process it ran in. {outcome.detail}".strip())
        # who ended it, and when, was seen from outside
        self._report.steps.append(
            {"name": step, "status": "failed", "detail": sentence, "seconds": 0.0, "measured_by": "platform"}
        )
        return Refused(f"{step}_{ended}", sentence)


def _step(said: dict[str, Any], stage: Stage) -> dict[str, Any]:
    facts = {
        str(name)[:60]: value for name, value in said.items() if name not in ("name", "status", "detail", "seconds")
    }
    seconds = said.get("seconds")
    return {
        **facts,
        "name": said["name"],
        "status": said["status"] if said.get("status") in _STATUSES else "failed",
        "detail": str(said.get("detail", ""))[:_LONGEST],
        "seconds": seconds if isinstance(seconds, int | float) else 0.0,
        "measured_by": stage,
    }
