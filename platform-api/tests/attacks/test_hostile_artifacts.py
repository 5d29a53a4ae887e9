"""Hostile artifacts meet the real build: nothing is loaded, and the report says why. Each has a twin that would have worked."""

import os
import pickle
import shutil
import socket
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from pandas.core.computation.expr import Expr
from pandas.core.computation.scope import Scope
from sklearn.linear_model import LinearRegression
from sklearn.utils.validation import check_array

from model_server.build.__main__ import build
from model_server.build.report import Report
from model_server.build.stages import Stages
from model_server.formats.content import check_contents
from model_server.formats.pickle_policy import is_allowed
from model_server.formats.scan import scan_tree
from model_server.refusals import Refused
from model_server.sandbox.limits import Limits
from model_server.sandbox.protections import BEST_EFFORT


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact folder of a small model."""
    folder = tmp_path_factory.mktemp("honest") / "artifact"
    frame = pd.DataFrame({"a": np.arange(40) / 40.0, "b": np.arange(40)[::-1] / 10.0})
    model = LinearRegression().fit(frame, frame["a"] * 2 + frame["b"])
    signature = mlflow.models.infer_signature(frame, model.predict(frame))
    mlflow.sklearn.save_model(
        model,
        str(folder),
        signature=signature,
        input_example=frame.head(10),
        pip_requirements=[],
        serialization_format="cloudpickle",
    )
    return folder


@pytest.fixture
def artifact(honest: Path, tmp_path: Path) -> Path:
    shutil.copytree(honest, tmp_path / "artifact")
    return tmp_path / "artifact"


class Calls:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.arguments


def _expression(marker: Path) -> bytes:
    """Case 24: pandas' expression class evaluates calls in its constructor."""

    def text(value: str) -> bytes:
        return b"X" + struct.pack("<I", len(value.encode())) + value.encode()

    asked = f"@warnings.sys.modules.get('os').mkdir('{marker}')"
    return b"\x80\x02cpandas.core.computation.expr\nExpr\n" + text(asked) + text("python") + text("pandas") + b"\x87R."


def _scope(marker: Path) -> bytes:
    """sec-pickle-allowlist-rce: an expression, its scope, and a function through whose globals everything is reached."""
    code = f"import os; os.mkdir({str(marker)!r})"
    call = f"@f.__globals__.get('warnings').sys.modules.get('builtins').exec({code!r}, @d)"
    model = LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
    model.note = Calls(Expr, call, "python", "pandas", Calls(Scope, 0, None, {"f": check_array, "d": {}}))
    return pickle.dumps(model, protocol=4)


GADGETS = {"expression": _expression, "scope": _scope}
# only gadgets that need an old name list would be loaded by the twin: a plain unpickler, as MLflow uses
LOAD = "import pickle, sys, warnings, pandas.core.computation.expr; pickle.load(open(sys.argv[1], 'rb'))"


@pytest.mark.parametrize("name", GADGETS)
def test_a_pickle_of_trusted_libraries_runs_nothing_and_its_twin_outside_the_build_does(
    artifact: Path, tmp_path: Path, name: str
) -> None:
    marker = tmp_path / "ran"
    (artifact / "model.pkl").write_bytes(GADGETS[name](marker))
    report = build(artifact, tmp_path / "bundle", name="hostile", version=1)
    assert (report.verdict, report.reason) == ("refused", "unsafe_pickle"), report.sentence
    assert "Expr" in report.sentence
    assert not marker.exists()
    # the model was not loaded: only the inspection ran
    assert [step["name"] for step in report.steps] == ["digest", "format", "scan"]
    assert {step["measured_by"] for step in report.steps} == {"platform", "inspection"}
    subprocess.run([sys.executable, "-c", LOAD, str(artifact / "model.pkl")], capture_output=True, check=False)
    assert marker.exists()


def _boosters_file(_: Path) -> bytes:
    return b"clightgbm.basic\nBooster\n(NNX\x0b\x00\x00\x00/etc/passwdtR."


def _through_a_reconstructor(_: Path) -> bytes:
    return b"ccopy_reg\n_reconstructor\n(clightgbm.basic\nBooster\nclightgbm.basic\nBooster\nNtR."


def _retyped(_: Path) -> bytes:
    return b"cnumpy\nmemmap\n(X\x0b\x00\x00\x00/etc/passwdtR."


@pytest.mark.parametrize("make", [_boosters_file, _through_a_reconstructor, _retyped])
def test_constructors_that_open_files_are_not_called(make: Callable[[Path], bytes], tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(make(tmp_path))
    with pytest.raises(Refused) as refused:
        scan_tree(tmp_path, [path])
    assert refused.value.code in ("unsafe_pickle", "unreadable_pickle")
    assert is_allowed("lightgbm.basic", "Booster")


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as planted:
        here = Path.cwd()
        os.chdir(path.parent)
        planted.bind(path.name)
        os.chdir(here)


def _link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def _folder_link(path: Path) -> None:
    path.symlink_to("/etc")


@pytest.mark.parametrize("plant", [_fifo, _socket, _link, _folder_link])
def test_pipes_sockets_and_links_are_refused_before_anything_is_copied(
    artifact: Path, tmp_path: Path, plant: Callable[[Path], None]
) -> None:
    plant(artifact / "notes.txt")
    report = build(artifact, tmp_path / "bundle", name="hostile", version=1)
    assert (report.verdict, report.reason) == ("refused", "unsafe_tree"), report.sentence
    assert report.steps[-1]["name"] == "digest"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("notes.txt", b"\x7fELF\x02\x01\x01" + bytes(40), "custom_code"),
        ("README", b"\xcf\xfa\xed\xfe" + bytes(40), "custom_code"),
        ("page.html", b"#!/bin/sh\nid\n", "custom_code"),
        ("table.csv", b"a,b\n\x00\x01\x02", "not_what_it_says"),
        ("card.md", b"\xff\xfe\x00text", "not_what_it_says"),
        ("picture.png", b"<script>", "not_what_it_says"),
        ("rows.parquet", b"PAR2 no", "not_what_it_says"),
        ("list.json", b"MZ\x90\x00\x03", "not_what_it_says"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Refused) as refused:
        check_contents(tmp_path, [tmp_path / name])
    assert refused.value.code == reason


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.txt", "a long text ünd so weiter\n".encode() * 90_000),
        ("notes.md", b"MZ is where some words begin"),
        ("table.csv", "naïve;été\n".encode("latin-1")),
        ("empty.txt", b""),
    ],
)
def test_honest_text_is_taken(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    check_contents(tmp_path, [tmp_path / name])


def test_an_archive_that_expands_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model_server.formats.scan.MAX_EXPANDED_BYTES", 64 << 20)
    path = tmp_path / "model.skops"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"{number}.json", bytes(24 << 20))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(Refused) as refused:
        scan_tree(tmp_path, [path])
    assert refused.value.code == "too_large"


def test_a_graph_that_the_models_process_offers_is_judged_by_a_process_without_the_model(
    honest: Path, tmp_path: Path
) -> None:
    import onnx

    def offered() -> tuple[Stages, Report, dict[str, Any], Path]:
        report = Report()
        scratch = tmp_path / str(len(list(tmp_path.iterdir())))
        shutil.copytree(honest, scratch / "native")
        stages = Stages(scratch, report, Limits(), BEST_EFFORT)
        described, there_is_one, folder = stages.load()
        assert there_is_one
        return stages, report, described, folder

    stages, report, described, folder = offered()
    content, _ = stages.prove(described, True, folder)
    assert content["engine"] == "onnx"
    assert {step["name"]: step["measured_by"] for step in report.steps} == {
        "load": "model",
        "schema": "model",
        "compile": "model",
        "rows": "model",
        "background": "proof",
        "parity": "proof",
    }
    # a hostile model's process hands over another graph than the one it answered with
    stages, report, described, folder = offered()
    graph = onnx.load(folder / "offered.onnx")
    for initializer in graph.graph.initializer:
        values = onnx.numpy_helper.to_array(initializer)
        if values.dtype.kind == "f":
            initializer.CopyFrom(onnx.numpy_helper.from_array(values * 3, initializer.name))
    for node in graph.graph.node:
        for attribute in node.attribute:
            attribute.floats[:] = [value * 3 for value in attribute.floats]
    (folder / "offered.onnx").write_bytes(graph.SerializeToString())
    content, _ = stages.prove(described, True, folder)
    assert content["engine"] == "process"
    assert report.steps[-1]["status"] == "warning"
    assert "differs" in report.steps[-1]["detail"]


def test_an_offer_that_is_nonsense_is_refused(tmp_path: Path) -> None:
    from model_server.build.offer import read_offer

    with pytest.raises(Refused, match="incomplete offer"):
        read_offer(tmp_path)
    np.save(tmp_path / "answers.npy", np.array([Calls(print)], dtype=object), allow_pickle=True)
    (tmp_path / "offered.onnx").write_bytes(b"x")
    (tmp_path / "offered.json").write_text(
        '{"mode": "tensor", "dtype": "float64", "columns": {}, "outputs": {}, "classes": [], "splits": []}'
    )
    with pytest.raises(Refused, match="incomplete offer"):
        read_offer(tmp_path)


@pytest.mark.parametrize("change", ["external", "domain", "nonsense"])
def test_a_compiled_graph_that_reads_files_or_brings_operators_is_refused(change: str) -> None:
    from onnx import TensorProto, helper

    from model_server.formats.graph_tensors import check_alone

    weights = helper.make_tensor("W", TensorProto.DOUBLE, [1], [2.0])
    node = helper.make_node("Mul", ["X", "W"], ["y"])
    shapes = [helper.make_tensor_value_info(name, TensorProto.DOUBLE, [1]) for name in ("X", "y")]

    def made() -> bytes:
        model = helper.make_model(helper.make_graph([node], "g", shapes[:1], shapes[1:], [weights]))
        return bytes(model.SerializeToString())

    check_alone(made())
    if change == "external":
        weights.ClearField("double_data")
        weights.data_location = TensorProto.EXTERNAL
        entry = weights.external_data.add()
        entry.key, entry.value = "location", "../keys/issuer.pem"
    elif change == "domain":
        node.domain = "evil.example"
    with pytest.raises(Refused) as refused:
        check_alone(b"\xff" if change == "nonsense" else made())
    assert refused.value.code == "unsafe_graph"
