"""checkov finds nothing in the plan of a whole environment that is not waived beside its resource, with a reason."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ..costs.plans import emulated_aws, make
from .workspace import SOURCES

ROOT = SOURCES.parent
CHECKOV = ROOT / ".venv-tools" / "bin" / "checkov"
A_KEY = "arn:aws:kms:us-east-1:123456789012:key/known-after-apply"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.external("terraform"),
    pytest.mark.timeout(900),
    pytest.mark.skipif(not CHECKOV.exists(), reason="not run: checkov is not installed (`make tools`)"),
]


def _name_keys(values: dict[str, Any], unknown: dict[str, Any]) -> None:
    """Put a key where a plan only says 'known after apply': a reference to a key is there, its ARN is not yet."""
    for name, what in unknown.items():
        if what is True and "kms" in name:
            values[name] = A_KEY
        elif isinstance(what, list):
            for value, inner in zip(values.get(name) or [], what, strict=False):
                if isinstance(inner, dict):
                    _name_keys(value, inner)


def _with_keys(plan: dict[str, Any]) -> dict[str, Any]:
    unknown = {change["address"]: change["change"].get("after_unknown") or {} for change in plan["resource_changes"]}

    def walk(module: dict[str, Any]) -> None:
        for resource in module.get("resources", []):
            _name_keys(resource.get("values", {}), unknown.get(resource["address"], {}))
        for child in module.get("child_modules", []):
            walk(child)

    walk(plan["planned_values"]["root_module"])
    for change in plan["resource_changes"]:
        _name_keys(change["change"].get("after") or {}, unknown[change["address"]])
    return plan


@pytest.mark.whole("checkov reads a whole plan for a minute")
def test_the_scanner_finds_nothing_in_the_plan_of_development(tmp_path: Path) -> None:
    with emulated_aws() as endpoint:
        plan = _with_keys(make("dev", endpoint, tmp_path))
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    waived = [
        line.split("#")[0].strip(" -\n")
        for line in (ROOT / ".checkov.yaml").read_text().splitlines()
        if line.startswith("  - CKV")
    ]
    scan = subprocess.run(
        [
            CHECKOV,
            "-f",
            tmp_path / "plan.json",
            "--framework",
            "terraform_plan",
            "--repo-root-for-plan-enrichment",
            tmp_path / "terraform",
            "--skip-check",
            ",".join(waived),
            "--skip-download",
            "--quiet",
            "--output",
            "json",
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    report = json.loads(scan.stdout)
    failed = [f"{one['check_id']} {one['resource']}" for one in report["results"]["failed_checks"]]
    assert report["summary"]["passed"] > 300
    assert not failed, "\n".join(failed)
