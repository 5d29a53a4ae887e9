"""The workflow files: valid, without findings, equal where they must be, and calling only commands that exist."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from mlops_platform.cli.main import app

from .workflow import PIPELINE, ROOT, commands, evaluate, load

WORKFLOWS = sorted([*(ROOT / ".github" / "workflows").glob("*.y*ml"), *(ROOT / "cicd").glob("*.y*ml")])
BIN = Path(sys.executable).parent

# the nine jobs that docs/guides/pipeline.md describes, in their order
NEEDS = {
    "validate": set(),
    "security_scan": {"validate"},
    "performance_test": {"validate"},
    "approval": {"security_scan", "performance_test"},
    "build": {"approval"},
    "deploy": {"build"},
    "post_deployment": {"deploy"},
    "audit": {"validate", "security_scan", "performance_test", "approval", "build", "deploy", "post_deployment"},
    "notify": {
        "validate",
        "security_scan",
        "performance_test",
        "approval",
        "build",
        "deploy",
        "post_deployment",
        "audit",
    },
}


def test_every_workflow_fits_githubs_schema() -> None:
    ran = subprocess.run(
        [BIN / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_zizmor_finds_nothing() -> None:
    command = [BIN / "zizmor", "--offline", "--no-progress", "--format", "json", *WORKFLOWS]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    found = [
        f"{entry['ident']}: {entry['desc']} {entry['locations'][0]['symbolic']['key']}"
        for entry in json.loads(ran.stdout)
    ]
    assert (ran.returncode, found) == (0, [])


def test_the_copy_that_github_runs_is_the_pipeline() -> None:
    assert (ROOT / ".github" / "workflows" / PIPELINE.name).read_text() == PIPELINE.read_text()


def test_the_nine_jobs_need_what_section_11_says_and_the_last_two_always_run() -> None:
    jobs = load()["jobs"]
    assert {name: set(job.get("needs", [])) for name, job in jobs.items()} == NEEDS
    assert {name for name, job in jobs.items() if job.get("if") == "always()"} == {"audit", "notify"}
    assert jobs["approval"]["environment"] == "${{ inputs.target_environment }}"


def test_the_inputs_are_those_of_the_original() -> None:
    # YAML reads the key `on` as true
    inputs = load()[True]["workflow_dispatch"]["inputs"]  # type: ignore[index]
    assert set(inputs) == {"model_name", "model_version", "target_environment", "risk_level"}


# the only rights to write that any job has
MAY_WRITE: dict[tuple[str, str], set[str]] = {
    **{(PIPELINE.name, job): {"id-token"} for job in NEEDS if job != "notify"},
    ("images.yml", "publish"): {"id-token"},
    ("release.yml", "images"): {"id-token"},
    ("release.yml", "notes"): {"contents"},
    ("infrastructure.yml", "plan"): {"id-token", "pull-requests"},
    ("manifests.yml", "diff"): {"pull-requests"},
}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_no_workflow_holds_a_long_lived_key_or_more_rights_than_a_job_needs(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {}
    assert not re.search(r"secrets\.[A-Z_]*(AWS|KEY|PASSWORD|TOKEN)", path.read_text())
    for name, job in workflow["jobs"].items():
        rights = job.get("permissions", {})
        assert rights, f"{name} states no permissions"
        assert {right for right, value in rights.items() if value != "read"} == MAY_WRITE.get((path.name, name), set())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_commit(path: Path) -> None:
    used = re.findall(r"uses: (\S+)", path.read_text())
    assert all(one.startswith("./") or re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", one) for one in used)


@pytest.mark.parametrize(("job", "command"), commands(load()).items())
def test_every_command_of_the_pipeline_exists_with_these_options(job: str, command: str) -> None:
    words = shlex.split(command.strip())
    assert words[:2] == ["mlops", "pipeline"]
    group = get_command(app).commands["pipeline"]  # type: ignore[attr-defined]
    found = group.commands[words[2]]
    known = {option for parameter in found.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= known
    # and the command line as a whole is read without a complaint, the numbers of a run filled in
    filled = [re.sub(r"\$MODEL_VERSION", "1", word) for word in words[3:]]
    filled = [{"$TARGET": "staging", "$UNTIL": "live", "$RISK": "low"}.get(word, word) for word in filled]
    found.make_context(words[2], filled, resilient_parsing=False)


def test_expressions_are_read_as_github_reads_them() -> None:
    until = load()["jobs"]["deploy"]["steps"][-1]["env"]["UNTIL"]
    seen = {to: evaluate(until, {"inputs": {"target_environment": to}}) for to in ("staging", "production")}
    assert seen == {"staging": "live", "production": "answering"}


_ALONE = """
import sys
import sysconfig
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder

allowed, place = set(sys.argv[1].split(",")), sysconfig.get_path("purelib")


class Only(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        found = PathFinder.find_spec(top) if top not in allowed else None
        if found is not None and (found.origin or "").startswith(place):
            raise ModuleNotFoundError(f"No module named {top!r}", name=top)
        return None


sys.meta_path.insert(0, Only())
import email_validator, httpx, rich.table
from mlops_platform.cli import traffic
from mlops_platform.cli.main import main

main(["pipeline", "notify", "model", "1", "--run", "r", "--job", "validate=success"])
"""


def test_the_command_alone_needs_only_what_its_lock_names() -> None:
    """cicd/prepare.sh installs these and copies the package: an import that is not among them would fail there."""
    lock = (ROOT / "cicd" / "requirements.lock").read_text()
    named = {_module(name) for name in re.findall(r"^([a-z0-9_.-]+)==", lock, re.MULTILINE)}
    ran = subprocess.run(
        [sys.executable, "-c", _ALONE, ",".join(sorted(named))], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout.strip()) == (0, "model version 1 to staging: success. r"), ran.stderr


def _module(name: str) -> str:
    return {"pyyaml": "yaml", "_yaml": "yaml", "markdown_it_py": "markdown_it", "dnspython": "dns"}.get(
        name.replace("-", "_"), name.replace("-", "_")
    )
