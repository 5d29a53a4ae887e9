"""One verified bundle, ready to answer: predictions by the engine of the bundle, explanations by SHAP."""

import contextlib
import functools
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from model_server.bundle import MOST_JOINED, Bundle, compiled_graph, native_artifact, read_bundle
from model_server.contract.decoder import Decoder, Row
from model_server.contract.known_row import known_rows
from model_server.contract.problems import BadInput
from model_server.contract.refusing import refusal
from model_server.engines.answers import WrongAnswers, one_per_row, without_gaps
from model_server.engines.compiled import Compiled, run_compiled
from model_server.engines.inputs import table
from model_server.engines.native import NativeModel, load_native
from model_server.engines.onnx_native import session_of
from model_server.engines.params import checked_params
from model_server.explain.background import read_background, sent_background
from model_server.explain.explainer import Explainer, Explanation, compared_with, explainable, make_explainer
from model_server.explain.without_sample import WithoutSample
from model_server.formats.artifact import read_artifact
from model_server.joining.may_join import Joining
from model_server.refusals import Refused
from model_server.serve.withdrawals import Withdrawals
from model_server.trust.files import ApprovedFiles, Files
from model_server.trust.statement import Statement, check_time

Rows = list[list[Any]]
# what a model is explained against: rows logged with it, or with its run
_SAMPLES = ("background.json", "training-sample.json")


@dataclass(frozen=True)
class Answer:
    """Predictions as JSON values: probability of the positive class, probabilities, values, or raw predictions.

    `scores` are the numbers behind raw predictions, where the model has them.
    """

    prediction: list[Any]
    labels: list[Any] | None
    scores: list[Any] | None = None


class ServedModel:
    """Loads exactly one bundle. With ApprovedFiles, from bytes a signed statement names; with BuiltFiles, a build on trial.

    `digest` names the only artifact that may be served, `libraries` the environment this process is in. Raises Refused
    `other_libraries`, `not_approved`, `not_built`, `bad_bundle`,
    `digest_mismatch` and what loading raises; nothing is unpickled before.
    A compiled model's native twin is loaded at the first explanation: it costs two seconds and 200 MB or more.
    """

    def __init__(
        self,
        files: Files,
        digest: str | None = None,
        withdrawals: Withdrawals | None = None,
        *,
        libraries: str | None = None,
    ) -> None:
        self.bundle: Bundle = read_bundle(files)
        if self.bundle.libraries != libraries:
            raise Refused(
                "other_libraries", "This process has other libraries than those the model is to be loaded in."
            )
        self.statement = files.statement if isinstance(files, ApprovedFiles) else None
        if self.statement is not None:
            _check_names(self.statement, self.bundle)
        self.withdrawals = withdrawals
        self.check_approval(datetime.now(UTC))
        if digest and self.bundle.digest != digest:
            raise Refused("not_approved", f"The bundle holds {self.bundle.digest}, but {digest} was approved.")
        self.decoder = Decoder(self.bundle.inputs, self.bundle.extra_inputs)
        # a graph answers a row in microseconds: it is not worth the wait
        most = 0 if self.bundle.onnx else self.bundle.joined_rows
        self.joining = Joining(most, self.bundle.inputs, self.bundle.params)
        self._known_rows = known_rows(files, self.bundle.inputs)
        files.check()
        self._files = files
        self._native: NativeModel | None = None
        self._explainer: Explainer | None = None
        self._loading = threading.Lock()
        self._kept: contextlib.ExitStack | None = None
        if self.statement is None:
            with files.native() as folder:
                native_artifact(folder, self.bundle)
        graph = compiled_graph(files, self.bundle)
        self._session = session_of(graph) if graph is not None else None
        self._compiled = Compiled.of(self.bundle.onnx) if self.bundle.onnx else None
        if self._compiled is None:
            self._native_model()
        self._sample = next(
            (found for name in _SAMPLES if (found := read_background(files.read(name), name, self.bundle.inputs))), None
        )
        self._without_sample: WithoutSample | None = None

    def check_approval(self, at: datetime) -> None:
        """Raise Refused when the approval does not count at this time: `approval_ended`, `approval_revoked`, or, where the
        policy wants that, `revocations_old`. A build on trial has none.
        """
        if self.statement is not None:
            check_time(self.statement, at)
            if self.withdrawals is not None:
                self.withdrawals.check(self.statement, at)

    def predict(self, columns: list[str], rows: Rows, params: Any = None) -> Answer:
        """Answer rows of JSON values; `params` is what the request says beside them.

        Raises BadInput when they do not fit what the model takes, ModelRefuses when the model itself does not take them,
        WrongAnswers, and what its library raises when it does not answer anything.
        """
        return self.answer(self.decoder.lists(columns, rows), checked_params(self.bundle.params, params))

    def answer(self, rows: list[Row], params: Mapping[str, Any] | None = None) -> Answer:
        """Answer checked rows with checked params, else with their defaults. Raises what `predict` raises; BadInput for
        rows of tensors that differ in length.
        """
        answered = functools.partial(self._answered, params=params)
        try:
            return answered(rows)
        except (MemoryError, Refused, WrongAnswers, BadInput):
            raise
        except Exception as error:
            # of a library: whether these rows are to blame is found out by asking
            refused = refusal(answered, rows, self.bundle.inputs, self._known_rows)
            if refused is None:
                raise
            raise refused from error

    def together(self, parts: Sequence[list[Row]]) -> list[Answer]:
        """Answer rows of several requests by one call; each must be one that `joining.may` join.

        Raises anything: whose rows are to blame shows when each is asked alone.
        """
        every = [row for rows in parts for row in rows]
        whole, found, end = self._answered(every, None), [], 0
        for rows in parts:
            start, end = end, end + len(rows)
            labels, scores = whole.labels, whole.scores
            found.append(
                Answer(
                    whole.prediction[start:end],
                    None if labels is None else labels[start:end],
                    None if scores is None else scores[start:end],
                )
            )
        return found

    def _answered(self, checked: list[Row], params: Mapping[str, Any] | None) -> Answer:
        if self._compiled is not None:
            found = run_compiled(self._session, self._compiled, self.bundle.inputs, checked, self.bundle.labels)
            return self._answer(len(checked), found.get("probabilities", found.get("value")), found.get("label"))
        data = table(self.bundle.inputs, checked, self.bundle.native_input)
        native = self._native_model()
        labels = native.classes(data) if self.bundle.labels else None
        answer = self._answer(len(checked), native.outputs(data, params), labels)
        if (scores := self.bundle.answer.scores) is None:
            return answer
        numbers = without_gaps(one_per_row(native.scores(data), len(checked), scores.shape))
        return replace(answer, scores=numbers.tolist())

    def _answer(self, rows: int, outputs: Any, labels: npt.NDArray[Any] | None) -> Answer:
        binary = self.bundle.task == "binary"
        values = without_gaps(one_per_row(np.asarray(outputs), rows, (2,) if binary else self.bundle.answer.shape))
        if binary:
            values = values[:, 1]
        return Answer(values.tolist(), None if labels is None else self._native_labels(one_per_row(labels, rows, ())))

    def _native_labels(self, labels: npt.NDArray[Any]) -> list[Any]:
        # ONNX holds labels as whole numbers or text; people get back the labels they trained with.
        by_value = {label: label for label in self.bundle.labels}
        return [by_value.get(label, label) for label in labels.tolist()]

    def explain(self, columns: list[str], rows: Rows, background: Any = None) -> Explanation:
        """Explain rows; against the bundle's own sample when there is one, else as `explain.without_sample` chooses.

        `background`: recent inputs that came with the request; they serve no other. Raises BadInput, NoBackground,
        NotExplainable, NotAdditive.
        """
        return self.explain_checked([list(row) for row in self.decoder.lists(columns, rows)], background)

    def explain_checked(self, checked: Rows, background: Any = None) -> Explanation:
        """Explain checked rows, as `explain` does."""
        self.prepare_explanations()
        if self._sample is not None:
            assert self._explainer is not None
            sample, source = self._sample
            return compared_with(self._explainer.explain(checked), source, len(sample))
        assert self._without_sample is not None
        recent = [] if background is None else sent_background(background, self.bundle.inputs)
        return self._without_sample.explain(checked, recent)

    def explains_together(self, rows: int, background: Any) -> bool:
        """Return whether a request of so many rows may be explained with others: against the bundle's own sample, row by row."""
        known = self._sample is not None and self._explainer is not None and self._explainer.joins
        return known and background is None and rows <= MOST_JOINED

    def explain_together(self, parts: Sequence[Rows]) -> list[Explanation]:
        """Explain checked rows of several requests that `explains_together`. Raises what `explain` raises."""
        assert self._explainer is not None
        assert self._sample is not None
        sample, source = self._sample
        return [compared_with(found, source, len(sample)) for found in self._explainer.together(parts)]

    def prepare_explanations(self) -> None:
        """Load what explanations need, once: SHAP takes two seconds to import and a hundred megabytes to hold."""
        native = self._native_model()
        with self._loading:
            if self._explainer is not None or self._without_sample is not None:
                return
            parts = explainable(native, self.bundle.answer), self.bundle.inputs, self.bundle.native_input
            if self._sample is not None:
                self._explainer = make_explainer(*parts, self._sample[0])
            else:
                self._without_sample = WithoutSample(*parts)

    def _native_model(self) -> NativeModel:
        with self._loading:
            if self._native is None:
                # Time may have passed since the start: what is loaded now must still be what was approved.
                with contextlib.ExitStack() as stack:
                    folder = stack.enter_context(self._files.native())
                    artifact = read_artifact(native_artifact(folder, self.bundle))
                    if artifact.code != self.bundle.code:
                        raise Refused(
                            "bad_bundle", "The bundle does not say that its model brings code; build it again."
                        )
                    loaded = load_native(artifact)
                    if artifact.code == "declared":
                        # its code may read its files, or import its modules, at any prediction
                        self._kept = stack.pop_all()
                scores = self.bundle.answer.scores
                self._native = loaded.doing(self.bundle.task, self.bundle.labels, scores.method if scores else None)
            return self._native


def _check_names(statement: Statement, bundle: Bundle) -> None:
    named = statement.artifact, statement.model_name, statement.version
    if named != (bundle.digest, bundle.model_name, bundle.model_version):
        raise Refused("not_approved", "The statement of approval is about another version than the bundle holds.")
