"""What a model's own process works out about it: its inputs, how it answers, and a compiled form to be proven."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from model_server.build.answers import settle
from model_server.build.compile import compile_model, forms_of
from model_server.build.example import refuse_local_times
from model_server.build.independence import measure
from model_server.build.missing import as_it_takes_gaps, refused_without, with_missing
from model_server.build.offer import write_offer
from model_server.build.parity import NativeAnswers, Parity, compare, proof_rows, rows_at_splits
from model_server.build.schema import infer_inputs
from model_server.build.scores import scores_of
from model_server.build.tree_ensemble import NotCompilable, first_line
from model_server.bundle import AnswerForm, Form, InputColumn
from model_server.engines.compiled import Compiled
from model_server.engines.native import NativeModel
from model_server.explain.background import Rows, example_of, find_rows
from model_server.formats.artifact import Artifact


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
        example = example_of(artifact)
        inputs, origin = infer_inputs(artifact.signature, native.estimator, example)
        refuse_local_times(example, inputs)
        found = find_rows(artifact, inputs)
        samples = found[0] if found else []
        if origin == "model":
            inputs = as_it_takes_gaps(native, inputs, samples)
        inputs = with_missing(native, inputs, samples)
        settled = settle(native, inputs, samples)
        answer = replace(settled.answer, scores=scores_of(settled.native, inputs, samples, settled.form))
        step.detail = f"{len(inputs)} inputs from the {origin}, {_in_words(answer)} a row"
        step.facts = {"origin": origin, "example_rows": len(samples)}
    return Description(artifact.flavor, settled.native, inputs, settled.form, answer, samples)


def _in_words(answer: AnswerForm) -> str:
    found = f"an answer of {' x '.join(map(str, answer.shape))} values" if answer.shape else "one answer"
    return found if answer.scores is None else f"{found} with scores ({answer.scores.method})"


def compile_and_offer(description: Description, output: Path, events: Steps) -> bool:
    """Write the compiled form that agrees with the model, and the model's answers; False when there is none to offer.

    An offer is no proof: build/prove.py runs the graph on rows of its own making, in a process without the model.
    """
    native = description.native
    attempts: list[str] = []
    candidates: list[tuple[Compiled, Parity]] = []
    with events.step("compile") as step:
        rows = proof_rows(description.inputs, description.samples)
        splits = rows_at_splits(description.inputs, rows, native.estimator)
        rows = [*rows, *splits]
        answered: NativeAnswers | None = None
        refused = refused_without(native, description.inputs, description.samples)
        for mode, dtype in _attempts(description):
            try:
                for compiled in forms_of(compile_model(native, description.inputs, mode, dtype, refused)):
                    if answered is None:
                        answered = NativeAnswers.of(native, description.inputs, rows, description.native_input)
                    labelled = native.task, native.labels
                    parity = compare(answered, compiled, description.inputs, rows, *labelled)
                    candidates.append((compiled, parity))
                    if parity.proven:
                        break
            except NotCompilable as reason:
                attempts.append(f"{mode} {dtype}: {reason}")
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001 - a graph onnxruntime rejects is an outcome: the model stays native
                attempts.append(f"{mode} {dtype}: {type(error).__name__}: {first_line(error)[:160]}")
            if candidates and candidates[-1][1].proven:
                break
        step.facts = {"attempts": attempts}
        if not candidates or answered is None:
            step.status = "warning"
            step.detail = f"not compiled, served by its own library: {_why(attempts)}"
            return False
        step.detail = f"ONNX, {candidates[-1][0].mode} of {candidates[-1][0].dtype}"
        write_offer(output, candidates[-1][0], answered, splits)
    return True


def prove_rows(description: Description, said: bool | None, events: Steps, *, compiled: bool) -> int:
    """Return how many rows of different requests the model answers alike alone and together; `said` is the owner's word on it."""
    with events.step("rows") as step:
        if compiled:
            step.status, step.detail = "skipped", "a compiled model answers in microseconds: no requests are joined"
            return 0
        scores = description.answer.scores
        native = description.native.doing(
            description.native.task, description.native.labels, scores.method if scores else None
        )
        found = measure(native, description.inputs, description.samples, description.native_input)
        step.facts = {"independent_rows": found.rows, "largest_difference": found.largest_difference, "declared": said}
        step.detail = found.sentence
        if said is not None:
            step.detail += f"; the owner declares that rows are {'' if said else 'not '}independent, which counts"
        if not found.rows:
            step.status = "warning"
        return found.rows


def _why(attempts: list[str]) -> str:
    """Say one reason once, and several with the attempt each stopped."""
    reasons = {attempt.partition(": ")[2] for attempt in attempts}
    return reasons.pop() if len(reasons) == 1 else "; ".join(dict.fromkeys(attempts))


def _attempts(description: Description) -> list[tuple[Literal["tensor", "columns"], str]]:
    mode: Literal["tensor", "columns"] = "tensor" if description.native_input == "array" else "columns"
    return [(mode, "float64"), (mode, "float32")]
