"""What the build works out about a loaded model: its inputs, a background, and a compiled form that is proven."""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from model_server.build.compile import compile_model, forms_of
from model_server.build.parity import Parity, compare, proof_rows
from model_server.build.report import write_json
from model_server.build.schema import infer_inputs
from model_server.build.tree_ensemble import NotCompilable
from model_server.bundle import InputColumn, OnnxGraph
from model_server.engines.compiled import Compiled
from model_server.engines.inputs import NUMERIC, table
from model_server.engines.native import NativeModel
from model_server.explain.background import Rows, find_rows
from model_server.formats.artifact import Artifact
from model_server.refusals import Refused

Form = Literal["array", "frame"]
EXAMPLE_ROWS = 50


class Steps(Protocol):
    """Where steps are reported."""

    def step(self, name: str) -> Any:
        """Return a context manager that yields a report.Step."""


@dataclass(frozen=True)
class Description:
    """A loaded model, described."""

    flavor: str
    task: str
    labels: tuple[Any, ...]
    inputs: tuple[InputColumn, ...]
    native_input: Form
    samples: Rows
    sample_source: str | None

    def as_json(self) -> dict[str, Any]:
        """Return the fields that go into bundle.json."""
        return {
            "flavor": self.flavor,
            "task": self.task,
            "labels": list(self.labels),
            "positive_label": self.labels[1] if self.task == "binary" else None,
            "inputs": [asdict(column) for column in self.inputs],
            "native_input": self.native_input,
        }


def describe(artifact: Artifact, native: NativeModel, events: Steps) -> Description:
    """Infer inputs and find sample rows. Raises Refused when there are no inputs or the model cannot predict."""
    with events.step("schema") as step:
        inputs, origin = infer_inputs(artifact.signature, native.estimator)
        step.detail = f"{len(inputs)} inputs from the {origin}"
        found = find_rows(artifact, inputs)
        samples, source = found or ([], None)
        step.facts = {"origin": origin, "example_rows": len(samples)}
        form = _native_form(native, inputs, samples)
    with events.step("background") as step:
        step.detail = f"{len(samples)} rows from {source}"
        if len(samples) < 2:  # noqa: PLR2004 - one row cannot be a background: it may be the row itself
            step.status = "warning"
            step.detail = (
                "no training sample was logged with the model: explanations need one (an input_example of two rows "
                "or more, or background.json beside the model) or stored prediction inputs"
            )
    return Description(artifact.flavor, native.task, native.labels, inputs, form, samples, source)


def _native_form(native: NativeModel, inputs: tuple[InputColumn, ...], samples: Rows) -> Form:
    """An array is much faster for the native library; a frame is needed where columns are selected by name."""
    rows = samples or [[0.0 if column.type in NUMERIC else _blank(column) for column in inputs]]
    numeric = all(column.type in NUMERIC for column in inputs)
    answers: dict[Form, Any] = {}
    problem: Exception | None = None
    for form in ("array", "frame") if numeric else ("frame",):
        try:
            answers[form] = native.outputs(table(inputs, rows, form))
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - a library says no in its own words; both forms failing is refused below
            problem = error
    if not answers:
        raise Refused(
            "predict_failed",
            f"The model cannot predict its own example ({type(problem).__name__}: {str(problem)[:200]}).",
        )
    return "array" if "array" in answers and ("frame" not in answers or _same(answers)) else "frame"


def _same(answers: dict[Form, Any]) -> bool:
    """Whether both forms answer alike; their memory layouts differ, so sums may differ in the last digits."""
    array, frame = answers["array"], answers["frame"]
    if array.dtype.kind != "f":
        return bool(np.array_equal(array, frame))
    return array.shape == frame.shape and bool(np.allclose(array, frame, rtol=1e-9, atol=1e-12, equal_nan=True))


def _blank(column: InputColumn) -> Any:
    return False if column.type == "boolean" else ""


def compile_and_prove(
    native: NativeModel, description: Description, output: Path, events: Steps
) -> dict[str, Any] | None:
    """Write model.onnx, example.json and background.json; return the `onnx` part of bundle.json, or None when the model stays native."""
    _write_samples(description, output)
    attempts: list[str] = []
    candidates: list[tuple[Compiled, Parity]] = []
    rows = proof_rows(description.inputs, description.samples, native.estimator)
    with events.step("compile") as step:
        for mode, dtype in _attempts(description):
            try:
                for compiled in forms_of(compile_model(native, description.inputs, mode, dtype)):
                    parity = compare(native, compiled, description.inputs, rows, description.native_input)
                    candidates.append((compiled, parity))
                    if parity.proven:
                        break
            except NotCompilable as reason:
                attempts.append(f"{mode} {dtype}: {reason}")
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001 - a graph onnxruntime rejects is an outcome: the model stays native
                attempts.append(f"{mode} {dtype}: {type(error).__name__}: {str(error).splitlines()[0][:160]}")
            if candidates and candidates[-1][1].proven:
                break
        step.facts = {"attempts": attempts}
        if not candidates:
            step.status = "warning"
            step.detail = f"not compiled, served by its own library: {'; '.join(dict.fromkeys(attempts))}"
        else:
            step.detail = f"ONNX, {candidates[-1][0].mode} of {candidates[-1][0].dtype}"
    return _prove(candidates, output, events)


def _write_samples(description: Description, output: Path) -> None:
    names = [column.name for column in description.inputs]
    content = {"columns": names, "rows": description.samples, "source": description.sample_source}
    if description.samples:
        # what gates and smoke tests ask the model with; one row is enough for that, and too few for a background
        write_json(output / "example.json", {**content, "rows": description.samples[:EXAMPLE_ROWS]})
    if len(description.samples) > 1:
        write_json(output / "background.json", content)


def _attempts(description: Description) -> list[tuple[Literal["tensor", "columns"], str]]:
    mode: Literal["tensor", "columns"] = "tensor" if description.native_input == "array" else "columns"
    return [(mode, "float64"), (mode, "float32")]


def _prove(candidates: list[tuple[Compiled, Parity]], output: Path, events: Steps) -> dict[str, Any] | None:
    with events.step("parity") as step:
        if not candidates:
            step.status, step.detail = "skipped", "there is no compiled model to compare"
            return None
        compiled, parity = candidates[-1]
        step.detail, step.facts = parity.sentence, asdict(parity)
        if not parity.proven:
            step.status = "warning"
            step.detail += "; the model is served by its own library"
            return None
    (output / "model.onnx").write_bytes(compiled.model)
    graph = OnnxGraph(
        file="model.onnx",
        sha256=hashlib.sha256(compiled.model).hexdigest(),
        mode=compiled.mode,
        dtype=compiled.dtype,
        input="X" if compiled.mode == "tensor" else None,
        columns=compiled.columns,
        **compiled.outputs,
    )
    return asdict(graph)
