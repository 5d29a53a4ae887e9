"""checkov finds nothing in what is rendered; each waiver is an annotation beside its object, with a reason."""

import json
import subprocess
from pathlib import Path

import pytest

from .manifests import ENVIRONMENTS, OVERLAYS, ROOT, everything, text

CHECKOV = ROOT / ".venv-tools" / "bin" / "checkov"


@pytest.mark.slow
@pytest.mark.external("kubectl")
@pytest.mark.timeout(900)
@pytest.mark.skipif(not CHECKOV.exists(), reason="not run: checkov is not installed (`make tools`)")
def test_checkov_finds_nothing_that_is_not_waived(tmp_path: Path) -> None:
    for tree, environment in OVERLAYS:
        (tmp_path / f"{tree}-{environment}.yaml").write_text(text(tree, environment))
    scan = subprocess.run(
        [CHECKOV, "-d", tmp_path, "--framework", "kubernetes", "--quiet", "--output", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads(scan.stdout)
    failed = [f"{one['check_id']} {one['resource']} ({one['file_path']})" for one in report["results"]["failed_checks"]]
    assert report["summary"]["resource_count"] > 50
    assert not failed, "\n".join(failed)


@pytest.mark.external("kubectl")
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_waiver_has_a_reason(environment: str) -> None:
    waivers = [
        value
        for one in everything(environment)
        for key, value in one["metadata"].get("annotations", {}).items()
        if key.startswith("checkov.io/skip")
    ]
    assert waivers
    assert all(len(value.partition("=")[2].split()) > 4 for value in waivers)
