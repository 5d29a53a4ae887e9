"""Models that bring code: it runs in confined processes only, reaches nothing there, and what is undeclared stays refused."""

import io
import json
import os
import pickle
import socket
import sys
import zipfile
from pathlib import Path
from typing import Any

import catboost
import mlflow
import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
import yaml
from flavour_models import FLAVOURS, Logged
from mlflow.models import infer_signature
from sample_models import MODELS, log
from test_model_server import Server

from model_server.build.__main__ import build
from model_server.build.report import Report
from model_server.bundle import Parameter
from model_server.contract.problems import BadInput
from model_server.engines.native import load_native
from model_server.engines.params import checked_params, declared_params
from model_server.formats.artifact import read_artifact
from model_server.formats.versions import differences
from model_server.refusals import Refused
from model_server.sandbox import held
from model_server.sandbox.protections import Missing, Sealed

FRAME = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [0.5, 0.25, 0.125]})


def judged(folder: Path) -> Report:
    return build(folder, folder.parent / "bundle", name="sample", version=1)


def saved(folder: Path, model: Any, **options: Any) -> Path:
    """Log a pyfunc that answers with a number."""
    mlflow.pyfunc.save_model(
        str(folder),
        python_model=model,
        signature=infer_signature(FRAME, FRAME["a"]),
        input_example=None,
        pip_requirements=[],
        **options,
    )
    return folder


def thief(secret: Path, address: tuple[str, int], found: Path) -> Any:
    """A model that answers well, and tries to take a key and to report it."""
    kept, place, port, host = str(secret), str(found), address[1], address[0]

    class Thief(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            import socket as sockets

            def reads() -> str:
                with open(kept) as stream:  # noqa: PTH123 - as a thief would
                    return stream.read()

            def connects() -> str:
                with sockets.create_connection((host, port), timeout=2):
                    return "connected"

            def writes() -> str:
                with open(place, "w") as stream:  # noqa: PTH123
                    return str(stream.write("here"))

            got = 0
            for bit, attempt in enumerate((reads, connects, writes)):
                try:
                    attempt()
                    got |= 1 << bit
                except OSError:
                    continue
            return model_input["a"] * 0 + got

    return Thief()


def test_a_model_that_reads_keys_and_connects_reaches_nothing_and_its_twin_everything(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    secret, found = tmp_path / "signing-key.pem", tmp_path / "found"
    secret.write_text("private")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        folder = saved(tmp_path / "artifact", thief(secret, listening.getsockname(), found))
        free = mlflow.pyfunc.load_model(str(folder)).predict(FRAME)
        assert free.tolist() == [7.0] * 3
        found.unlink()
        report = judged(folder)
        assert report.verdict == "built", report.sentence
        server = Server(tmp_path / "bundle", tmp_path_factory.mktemp("s"))
        try:
            answer = server.client.post("/predict", json={"columns": ["a", "b"], "rows": [[1.0, 2.0]]})
        finally:
            server.stop()
    assert answer.json()["prediction"] == [0.0]
    assert not found.exists()


def test_code_is_shown_in_the_report_and_not_judged(tmp_path: Path) -> None:
    FLAVOURS["pyfunc with code, artifacts and params"](tmp_path / "artifact")
    report = judged(tmp_path / "artifact")
    [code] = [step for step in report.steps if step["name"] == "code"]
    assert (report.verdict, code["code"], code["status"]) == ("built", "declared", "warning")
    assert set(code["sources"]) == {"code/pricing/__init__.py", "code/pricing/rules.py"}
    assert "python_model.pkl" in code["detail"]
    # who measured it never loaded the model
    assert code["measured_by"] == "inspection"
    content = json.loads((tmp_path / "bundle" / "bundle.json").read_text())
    assert content["params"][0] == {"name": "factor", "type": "double", "default": 1.0, "shape": None}


def test_code_is_loaded_in_no_process_that_is_not_confined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FLAVOURS["pyfunc from code"](tmp_path / "artifact")
    artifact = read_artifact(tmp_path / "artifact")
    for here in ([], [Sealed({}, (Missing("files", "this kernel has no Landlock"),))]):
        monkeypatch.setattr(held, "_here", here)
        with pytest.raises(Refused) as refused:
            load_native(artifact)
        assert refused.value.code == "not_confined"


def test_a_bundle_that_conceals_its_code_is_refused(tmp_path: Path) -> None:
    FLAVOURS["pyfunc from code"](tmp_path / "artifact")
    assert judged(tmp_path / "artifact").verdict == "built"
    path = tmp_path / "bundle" / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "code": "none"}))
    from model_server.serve.served_model import ServedModel
    from model_server.trust.files import BuiltFiles

    with pytest.raises(Refused) as refused:
        ServedModel(BuiltFiles(tmp_path / "bundle"))
    assert refused.value.code == "bad_bundle"


@pytest.mark.parametrize("suffix", [".so", ".pyc", ".whl", ".sh"])
def test_compiled_code_is_refused_even_where_code_is_declared(tmp_path: Path, suffix: str) -> None:
    FLAVOURS["pyfunc with code, artifacts and params"](tmp_path / "artifact")
    (tmp_path / "artifact" / "code" / f"fast{suffix}").write_bytes(b"x")
    report = judged(tmp_path / "artifact")
    assert (report.reason, f"fast{suffix}" in report.sentence) == ("custom_code", True)


def test_a_source_outside_the_declared_places_is_refused(tmp_path: Path) -> None:
    FLAVOURS["pyfunc from code"](tmp_path / "artifact")
    (tmp_path / "artifact" / "other.py").write_text("import os")
    report = judged(tmp_path / "artifact")
    assert (report.reason, "other.py" in report.sentence) == ("custom_code", True)


def test_code_that_points_outside_the_artifact_is_refused(tmp_path: Path) -> None:
    FLAVOURS["pyfunc with code, artifacts and params"](tmp_path / "artifact")
    path = tmp_path / "artifact" / "MLmodel"
    content = yaml.safe_load(path.read_text())
    content["flavors"]["python_function"]["code"] = "../code"
    path.write_text(yaml.safe_dump(content))
    (tmp_path / "artifact" / "code").rename(tmp_path / "code")
    assert judged(tmp_path / "artifact").reason == "bad_metadata"


def test_a_library_that_is_not_here_is_named(tmp_path: Path) -> None:
    script = tmp_path / "forecast.py"
    script.write_text(
        "from mlflow.models import set_model\nfrom mlflow.pyfunc import PythonModel\n"
        "class M(PythonModel):\n"
        "    def predict(self, context, model_input, params=None):\n        return model_input['a']\n"
        "import no_such_forecaster\nset_model(M())\n"
    )
    (tmp_path / "no_such_forecaster.py").write_text("")
    sys.path.insert(0, str(tmp_path))
    try:
        folder = saved(tmp_path / "artifact", str(script))
    finally:
        sys.path.remove(str(tmp_path))
    report = judged(folder)
    assert (report.reason, "no_such_forecaster" in report.sentence) == ("missing_library", True)


class _Runs:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


def test_a_pickle_with_code_that_nobody_declares_stays_refused(tmp_path: Path) -> None:
    """The twin of declared code: the same pickle, without a word in MLmodel."""
    model, frame, flavor = MODELS["ridge"]()
    artifact = log(model, frame, flavor, tmp_path / "artifact")
    (artifact / "model.pkl").write_bytes(pickle.dumps(_Runs(tmp_path / "executed")))
    report = judged(artifact)
    assert (report.reason, (tmp_path / "executed").exists()) == ("unsafe_pickle", False)


def _zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("model.cbm", b"CBM1")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (_zipped(), "not_what_it_says"),
        (b'{"oblivious_trees": []}', "not_what_it_says"),
        (b"CBM1" + b"\xff" * 64, "load_failed"),
    ],
    ids=["a zip", "json", "damaged"],
)
def test_a_catboost_file_of_something_else_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    FLAVOURS["catboost, a number"](tmp_path / "artifact")
    (tmp_path / "artifact" / "model.cb").write_bytes(content)
    assert judged(tmp_path / "artifact").reason == reason


def test_a_catboost_model_in_another_format_is_refused_with_its_name(tmp_path: Path) -> None:
    model = catboost.CatBoostRegressor(iterations=2, verbose=0, allow_writing_files=False).fit(FRAME, FRAME["a"])
    mlflow.catboost.save_model(model, str(tmp_path / "artifact"), format="json", pip_requirements=[])
    report = judged(tmp_path / "artifact")
    assert (report.reason, "saved as json" in report.sentence) == ("format_not_allowed", True)


def test_a_formula_that_runs_code_is_refused_before_it_is_evaluated(tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    frame = FRAME.assign(y=[1.0, 2.0, 4.0])
    results = smf.ols("y ~ a", frame).fit()
    text = f"y ~ a + I(a + 0 * open({str(marker)!r}, 'w').write('x'))"
    results.model.data.formula = results.model.formula = text
    mlflow.statsmodels.save_model(results, str(tmp_path / "artifact"), pip_requirements=[])
    # the twin: loaded by its library, the formula runs
    mlflow.statsmodels.load_model(str(tmp_path / "artifact"))
    assert marker.exists()
    report = judged(tmp_path / "artifact")
    assert (report.reason, "'open'" in report.sentence) == ("unsafe_formula", True)


PARAMS = (Parameter("factor", "double", 1.0), Parameter("tags", "string", ["a"], (-1,)), Parameter("n", "long", 3))


def test_params_have_their_defaults_and_are_checked() -> None:
    assert checked_params(PARAMS, None) == {"factor": 1.0, "tags": ["a"], "n": 3}
    assert checked_params(PARAMS, {"factor": 2, "tags": []}) == {"factor": 2, "tags": [], "n": 3}
    for wrong in (
        {"other": 1},
        {"factor": "2"},
        {"factor": True},
        {"factor": float("nan")},
        {"tags": "a"},
        {"tags": [1]},
        {"n": 1.5},
        {"n": 1 << 70},
        {"n": None},
        [1],
    ):
        with pytest.raises(BadInput):
            checked_params(PARAMS, wrong)
    with pytest.raises(BadInput, match="takes none"):
        checked_params((), {"factor": 1})


def test_params_of_other_types_are_refused_by_name() -> None:
    with pytest.raises(Refused, match="'options' has the type object"):
        declared_params([{"name": "options", "type": "object", "default": {}, "shape": None}])


def test_a_request_with_params_reaches_the_model(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    logged: Logged = FLAVOURS["pyfunc with code, artifacts and params"](tmp_path / "artifact")
    assert judged(tmp_path / "artifact").verdict == "built"
    server = Server(tmp_path / "bundle", tmp_path_factory.mktemp("s"))
    rows = {"columns": ["age", "visits"], "rows": logged.frame.head(3).to_numpy().tolist()}
    try:
        answers = [server.client.post("/predict", json={**rows, **more}) for more in ({}, {"params": {"factor": 2.0}})]
        wrong = [server.client.post("/predict", json={**rows, "params": said}) for said in ({"factor": "x"}, {"no": 1})]
    finally:
        server.stop()
    once, twice = (np.asarray(answer.json()["prediction"]) for answer in answers)
    np.testing.assert_allclose(once, logged.expected[:3])
    np.testing.assert_allclose(twice, 2 * once)
    assert [answer.status_code for answer in wrong] == [422, 422]


def test_a_difference_of_versions_is_told() -> None:
    here = {name: _here(name) for name in ("scikit-learn", "pandas")}
    assert differences({"scikit-learn": "1.3.2"}, here) == [
        f"logged with scikit-learn 1.3.2, loaded by {_here('scikit-learn')}"
    ]
    assert differences({"scikit-learn": _here("scikit-learn"), "mlflow": "1.0", "pandas": None}, here) == []
    assert "not in the environment that loads it" in differences({"prophet": "1.1"}, {})[0]


def _here(library: str) -> str:
    from importlib.metadata import version

    return version(library)
