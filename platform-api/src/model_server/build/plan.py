"""What the build works out about a loaded model: its inputs, a background, and a compiled form that is proven."""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from model_server.build.answers import settle
from model_server.build.compile import compile_model, forms_of
from model_server.build.missing import with_missing
from model_server.build.parity import Parity, compare, proof_rows
from model_server.build.report import write_json
from model_server.build.schema import infer_inputs
from model_server.build.tree_ensemble import NotCompilable
from model_server.bundle import AnswerForm, Form, InputColumn, OnnxGraph
from model_server.engines.compiled import Compiled
from model_server.engines.native import NativeModel
from model_server.explain.background import Rows, find_rows
from model_server.formats.artifact import Artifact

EXAMPLE_ROWS = 50


class Steps(Protocol):
    """Where steps are reported."""

    def step(self, name: str) -> Any:
        """Return a context manager that yields a report.Step."""


@dataclass(frozen=True)
class Description:
    """A loaded model, described. `native` does the task that asking it showed."""

    flavor: str
    native: NativeModel
    inputs: tuple[InputColumn, ...]
    native_input: Form
    answer: AnswerForm
    samples: Rows
    sample_source: str | None

    def as_json(self) -> dict[str, Any]:
        """Return the fields that go into bundle.json."""
        return {
            "flavor": self.flavor,
            "task": self.native.task,
            "labels": list(self.native.labels),
            "positive_label": self.native.labels[1] if self.native.task == "binary" else None,
            "inputs": [asdict(column) for column in self.inputs],
            "native_input": self.native_input,
            "answer": asdict(self.answer),
        }


def describe(artifact: Artifact, native: NativeModel, events: Steps) -> Description:
    """Infer inputs, find sample rows and ask the model. Raises Refused when it has no inputs or does not answer each row."""
    with events.step("schema") as step:
        inputs, origin = infer_inputs(artifact.signature, native.estimator)
        found = find_rows(artifact, inputs)
        samples, source = found or ([], None)
        inputs = with_missing(native, inputs, samples)
        settled = settle(native, inputs, samples)
        step.detail = f"{len(inputs)} inputs from the {origin}, {_in_words(settled.answer)} a row"
        step.facts = {"origin": origin, "example_rows": len(samples)}
    with events.step("background") as step:
        step.detail = f"{len(samples)} rows from {source}"
        if len(samples) < 2:  # noqa: PLR2004 - one row cannot be a background: it may be the row itself
            step.status = "warning"
            step.detail = (
                "no training sample was logged with the model: explanations need one (an input_example of two rows "
                "or more, or background.json beside the model) or stored prediction inputs"
            )
    return Description(artifact.flavor, settled.native, inputs, settled.form, settled.answer, samples, source)


def _in_words(answer: AnswerForm) -> str:
    return f"an answer of {' x '.join(map(str, answer.shape))} values" if answer.shape else "one answer"


def compile_and_prove(description: Description, output: Path, events: Steps) -> dict[str, Any] | None:
    """Write model.onnx, example.json and background.json; return the `onnx` part of bundle.json, or None when the model stays native."""
    _write_samples(description, output)
    native = description.native
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
