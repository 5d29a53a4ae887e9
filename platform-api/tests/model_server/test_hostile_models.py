"""Models that run code, break, loop, or eat memory are refused with a reason; the building process always survives."""

import gzip
import io
import os
import pickle
import zipfile
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sample_models import MODELS, Built, log
from sklearn.linear_model import LogisticRegression

from model_server.build.__main__ import build, main
from model_server.build.report import Report
from model_server.sandbox.limits import Limits

QUICK = Limits(memory_bytes=3 << 30, cpu_seconds=60, timeout_seconds=60)


class RunsCommand:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


class Calls:
    """Pickles as a call of an allowed name."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.arguments


def judged(folder: Path, limits: Limits = QUICK) -> Report:
    return build(folder, folder.parent / "bundle", name="hostile", version=1, limits=limits)


def pickled(tmp_path: Path, content: bytes, name: str = "model.pkl") -> Path:
    folder = tmp_path / "artifact"
    folder.mkdir()
    (folder / name).write_bytes(content)
    return folder


def _dumped(write: Callable[..., Any], thing: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    write(thing, stream, **options)
    return stream.getvalue()


def _object_array(marker: Path) -> bytes:
    array = np.empty(1, dtype=object)
    array[0] = RunsCommand(marker)
    return _dumped(lambda thing, stream: np.save(stream, thing, allow_pickle=True), array)


def _npz(marker: Path) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("weights.npy", _object_array(marker))
    return stream.getvalue()


def _inside_joblib(marker: Path) -> bytes:
    array = np.empty(2, dtype=object)
    array[1] = RunsCommand(marker)
    return _dumped(joblib.dump, {"weights": np.arange(100.0), "more": array})


WAYS: dict[str, tuple[str, Callable[[Path], bytes]]] = {
    "pickle": ("model.pkl", lambda marker: pickle.dumps(RunsCommand(marker))),
    "old pickle": ("model.pkl", lambda marker: pickle.dumps(RunsCommand(marker), protocol=0)),
    "hidden in an attribute": (
        "model.pkl",
        lambda marker: pickle.dumps({"model": LogisticRegression(C=RunsCommand(marker))}),  # type: ignore[arg-type]
    ),
    "joblib": ("model.joblib", lambda marker: _dumped(joblib.dump, RunsCommand(marker))),
    "object array in joblib": ("model.joblib", _inside_joblib),
    "compressed joblib": (
        "model.joblib",
        lambda marker: _dumped(joblib.dump, RunsCommand(marker), compress=("zlib", 3)),
    ),
    "gzipped pickle": ("model.joblib", lambda marker: gzip.compress(pickle.dumps(RunsCommand(marker)))),
    "numpy object array": ("model.npy", _object_array),
    "numpy archive": ("model.npz", _npz),
}


@pytest.mark.parametrize("way", WAYS)
def test_code_in_a_model_never_runs(tmp_path: Path, way: str) -> None:
    name, make = WAYS[way]
    marker = tmp_path / "executed"
    report = judged(pickled(tmp_path, make(marker), name))
    assert (report.verdict, report.reason) == ("refused", "unsafe_pickle"), report.sentence
    assert "system" in report.sentence
    assert not marker.exists()
    assert not (tmp_path / "bundle" / "native").exists()
    assert [step["name"] for step in report.steps][-1] == "scan"


def test_refusal_has_its_own_exit_code_and_leaves_a_report(tmp_path: Path) -> None:
    folder = pickled(tmp_path, pickle.dumps(RunsCommand(tmp_path / "executed")))
    arguments = ["--source", str(folder), "--output", str(tmp_path / "out"), "--name", "m", "--version", "1"]
    assert main(arguments) == 3
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["report.json"]


def test_code_that_is_not_declared_is_refused(tmp_path: Path) -> None:
    model, frame, flavor = MODELS["ridge"]()
    artifact = log(model, frame, flavor, tmp_path / "artifact")
    (artifact / "code").mkdir()
    (artifact / "code" / "patch.py").write_text("import os")
    report = judged(artifact)
    assert (report.reason, report.steps[-1]["name"]) == ("custom_code", "format")
    assert "patch.py" in report.sentence


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("model.h5", b"\x89HDF", "format_not_allowed"),
        ("model.pkl", b"not a pickle", "unreadable_pickle"),
        ("model.pkl", pickle.dumps([1] * 50)[:-20], "unreadable_pickle"),
        ("model.joblib", b"x\x9c damaged", "unreadable_pickle"),
        ("model.skops", b"PK damaged", "unsafe_archive"),
        ("model.ubj", b"{broken", "load_failed"),
        ("model.lgb", b"tree\nbroken", "load_failed"),
        ("model.pkl", pickle.dumps({"no": "model"}), "no_predict"),
    ],
)
def test_broken_file_is_refused_with_its_reason(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    report = judged(pickled(tmp_path, content, name))
    assert (report.verdict, report.reason) == ("refused", reason), report.sentence
    assert report.sentence.endswith(".")


def test_archive_member_that_points_outside_is_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("schema.json", "{}")
        archive.writestr("../../escaped.json", "{}")
    report = judged(pickled(tmp_path, stream.getvalue(), "model.skops"))
    assert report.reason == "unsafe_archive"
    assert "outside" in report.sentence


def test_link_in_the_artifact_is_refused(tmp_path: Path) -> None:
    folder = pickled(tmp_path, pickle.dumps(LogisticRegression()))
    (folder / "input.json").symlink_to("/etc/passwd")
    report = judged(folder)
    assert (report.reason, report.steps[-1]["name"]) == ("unsafe_tree", "digest")


def test_description_that_points_outside_is_refused(built: Callable[[str], Built], tmp_path: Path) -> None:
    (tmp_path / "secret.pkl").write_bytes(pickle.dumps(LogisticRegression()))
    folder = tmp_path / "artifact"
    folder.mkdir()
    described = (built("ridge").artifact / "MLmodel").read_text()
    (folder / "MLmodel").write_text(described.replace("pickled_model: model.pkl", "pickled_model: ../secret.pkl"))
    assert judged(folder).reason == "bad_metadata"


def test_model_that_eats_memory_is_refused(tmp_path: Path) -> None:
    content = pickle.dumps(Calls(set, range(10**11)))
    report = judged(pickled(tmp_path, content), Limits(memory_bytes=1 << 30, cpu_seconds=60, timeout_seconds=60))
    assert (report.verdict, report.reason) == ("refused", "load_out_of_memory")


def test_model_that_loops_at_load_is_refused_by_the_clock(tmp_path: Path) -> None:
    content = pickle.dumps(Calls(deque, range(10**15), 0))
    report = judged(pickled(tmp_path, content), Limits(cpu_seconds=60, timeout_seconds=6))
    assert (report.verdict, report.reason) == ("refused", "load_timeout")
    assert report.steps[-1]["name"] == "load"


def test_model_that_burns_processor_time_is_refused(tmp_path: Path) -> None:
    content = pickle.dumps(Calls(deque, range(10**15), 0))
    report = judged(pickled(tmp_path, content), Limits(cpu_seconds=5, timeout_seconds=60))
    assert (report.verdict, report.reason) == ("refused", "load_cpu_time_exceeded")
