"""The scripts that workflows call, as far as they can be run without GitHub and AWS."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from .workflow import ROOT

SCRIPTS = sorted((ROOT / "cicd").glob("*.sh"))


def _run(script: str, *arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(ROOT / "cicd" / script), *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_script_stops_at_the_first_error_and_is_read_without_one() -> None:
    assert len(SCRIPTS) > 5
    for script in SCRIPTS:
        assert "set -euo pipefail" in script.read_text(), script.name
        assert subprocess.run(["bash", "-n", script], check=False).returncode == 0, script.name


def test_every_script_a_workflow_calls_exists() -> None:
    for workflow in (ROOT / ".github" / "workflows").iterdir():
        for word in workflow.read_text().split():
            if word.startswith("cicd/") and word.endswith(".sh"):
                assert (ROOT / word).exists(), f"{workflow.name} calls {word}"


def test_a_program_without_a_known_checksum_is_not_installed(tmp_path: Path) -> None:
    ran = _run("install-tool.sh", "kubesec", cwd=tmp_path, TOOLS=str(tmp_path / "tools"), KUBESEC_SHA256="")
    assert ran.returncode == 1
    assert "set KUBESEC_SHA256" in ran.stderr
    assert _run("install-tool.sh", "something", cwd=tmp_path, TOOLS=str(tmp_path)).returncode == 2


def test_a_program_with_other_bytes_is_not_installed(tmp_path: Path) -> None:
    """`curl` stands for a download that was swapped on the way."""
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "curl").write_text('#!/bin/sh\nwhile [ "$1" != --output ]; do shift; done\necho other > "$2"\n')
    (fake / "curl").chmod(0o755)
    path, tools = f"{fake}:{os.environ['PATH']}", tmp_path / "tools"
    for name in ("trivy", "cosign", "terraform"):
        ran = _run("install-tool.sh", name, cwd=tmp_path, PATH=path, TOOLS=str(tools))
        assert ran.returncode != 0
        assert not (tools / name).exists()
    right = hashlib.sha256(b"other\n").hexdigest()
    ran = _run("install-tool.sh", "kubesec", cwd=tmp_path, PATH=path, TOOLS=str(tools), KUBESEC_SHA256=right)
    assert "checksum" not in ran.stderr, "these bytes are the expected ones: only unpacking them fails"


def test_release_notes_are_the_section_of_the_version(tmp_path: Path) -> None:
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## Unreleased\n\n- x\n\n## 1.2.0\n\n- y\n\n## 1.1.0\n\n- z\n"
    )
    assert _run("release-notes.sh", "v1.2.0", cwd=tmp_path).stdout.strip() == "- y"
    missing = _run("release-notes.sh", "v9.9.9", cwd=tmp_path)
    assert (missing.returncode, missing.stderr.strip()) == (1, "CHANGELOG.md has no section for 9.9.9")


@pytest.mark.external("kubectl")
def test_the_diff_of_manifests_shows_what_the_cluster_would_get(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", *arguments],
            cwd=tmp_path,
            check=True,
            capture_output=True,
        )

    overlay = tmp_path / "kubernetes" / "app" / "overlays" / "dev"
    overlay.mkdir(parents=True)
    settings = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  level: "
    (overlay / "kustomization.yaml").write_text("resources: [map.yaml]\n")
    (overlay / "map.yaml").write_text(f"{settings}info\n")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "first")
    same = _run("manifests-diff.sh", "HEAD", cwd=tmp_path)
    assert (same.returncode, same.stdout.strip()) == (0, "0 of 1 rendered overlays differ."), same.stderr
    (overlay / "map.yaml").write_text(f"{settings}debug\n")
    changed = _run("manifests-diff.sh", "HEAD", cwd=tmp_path)
    assert changed.returncode == 0, changed.stderr
    assert "-  level: info\n+  level: debug" in changed.stdout
    assert changed.stdout.strip().endswith("1 of 1 rendered overlays differ.")
    assert not (tmp_path / ".git" / "worktrees").exists() or not any((tmp_path / ".git" / "worktrees").iterdir())
