"""Charts of controllers are taken in once, by digest; anything else is refused."""

import importlib.util
import os
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import yaml

FOLDER = Path(__file__).parents[3] / "kubernetes" / "infrastructure" / "controllers"
# answers as `helm pull` does: an archive in the folder that --destination names
HELM = """#!/bin/sh
for word in "$@"; do last="$word"; done
[ "$ARCHIVE" = "" ] && exit 1
printf '%s' "$ARCHIVE" > "$last/chart.tgz"
"""


@pytest.fixture(scope="module")
def fetch() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fetch", FOLDER / "fetch.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def listing(tmp_path: Path) -> Path:
    listing = tmp_path / "charts.yaml"
    listing.write_text(
        'charts:\n  - {name: one, namespace: a, repository: "oci://example/charts", version: 1.0.0, sha256: ""}\n'
    )
    return listing


@pytest.fixture
def helm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "helm").write_text(HELM)
    (folder / "helm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return lambda archive: monkeypatch.setenv("ARCHIVE", archive)


def test_only_the_archive_that_was_taken_in_is_kept(
    fetch: ModuleType, listing: Path, helm: Callable[[str], None]
) -> None:
    archive = listing.parent / "charts" / "chart.tgz"
    helm("first")
    assert fetch.main([], listing) == 1, "a chart that nobody took in is refused"
    assert not archive.exists()
    assert fetch.main(["--accept", "one"], listing) == 0
    assert fetch.main([], listing) == 0
    assert archive.read_text() == "first"
    helm("second")
    assert fetch.main([], listing) == 1, "same version, other bytes"
    assert not archive.exists()


def test_a_helm_that_fails_is_said(fetch: ModuleType, listing: Path, helm: Callable[[str], None]) -> None:
    helm("")
    assert fetch.main([], listing) == 2


def test_every_chart_is_at_one_version_and_every_values_file_is_of_a_chart() -> None:
    charts = yaml.safe_load((FOLDER / "charts.yaml").read_text())["charts"]
    names = [chart["name"] for chart in charts]
    assert len(names) == len(set(names))
    assert all(chart["version"].lstrip("v").replace(".", "").isdigit() for chart in charts)
    assert {path.stem for path in (FOLDER / "values").glob("*.yaml")} <= set(names)


def test_every_sum_is_known_but_the_one_that_nobody_publishes() -> None:
    charts = yaml.safe_load((FOLDER / "charts.yaml").read_text())["charts"]
    assert {chart["name"] for chart in charts if not chart["sha256"]} <= {"karpenter"}
    assert all(re.fullmatch("[0-9a-f]{64}", chart["sha256"]) for chart in charts if chart["sha256"])
