"""A newcomer's first quarter of an hour: what `mlops up` prints is typed into a fresh shell, on odd ports and an odd home."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ..conftest import free_port
from ..support.waiting import eventually

pytestmark = [
    pytest.mark.whole("starts a platform and walks three examples as a person types them"),
    pytest.mark.external("prometheus"),
    pytest.mark.timeout(900),
]
CHECKOUT = Path(__file__).parents[3]
MLOPS = Path(sys.executable).with_name("mlops")
Ran = subprocess.CompletedProcess[str]


def fresh_shell(lines: list[str], folder: Path) -> Ran:
    """Run lines as a new terminal would: no variable of ours, nothing of ours on the PATH."""
    env = {"HOME": os.environ.get("HOME", "/"), "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
    script = "\n".join(["set -e", *lines])
    return subprocess.run(["bash", "-c", script], env=env, cwd=folder, capture_output=True, text=True, check=False)


@dataclass
class FirstRun:
    """A platform with the demo, and what its start printed."""

    home: Path
    ports: list[str]

    def up(self, folder: Path) -> list[str]:
        """Start it, or find it running; return the lines printed below 'Next'."""
        options = ("--port", "--mlflow-port", "--prometheus-port")
        chosen = [word for pair in zip(options, self.ports, strict=True) for word in pair]
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("MLOPS_", "MLFLOW_"))}
        ran = subprocess.run(
            [str(MLOPS), "up", "--detach", "--home", str(self.home), *chosen],
            env=clean,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        printed = ran.stdout.splitlines()
        [place] = [number for number, line in enumerate(printed) if line.startswith("Next, ")]
        return [line.removeprefix("  ") for line in printed[place + 1 :]]


@pytest.fixture
def first_run(tmp_path: Path) -> Iterator[FirstRun]:
    run = FirstRun(tmp_path / "an odd home", [str(free_port()) for _ in range(3)])
    yield run
    subprocess.run([str(MLOPS), "down", "--home", str(run.home)], check=True, capture_output=True)
    shutil.rmtree(run.home)


def test_what_up_prints_works_when_typed_and_the_walk_goes_on_from_there(first_run: FirstRun, tmp_path: Path) -> None:
    elsewhere = first_run.up(tmp_path)
    in_checkout = first_run.up(CHECKOUT)
    exports = [line for line in in_checkout if line.startswith("export ")]
    assert in_checkout != elsewhere
    if Path(sys.executable).is_relative_to(CHECKOUT):
        assert any(line.startswith(".venv/bin/python examples/") for line in in_checkout)

    # before the first request, example 3 says so
    python = sys.executable
    early = fresh_shell([*exports, f"{python} examples/3_monitor.py"], CHECKOUT)
    assert (early.returncode, "nan" in early.stdout) == (0, False), early.stderr
    assert "not known yet" in early.stdout

    # every line but the one that stops the platform, from the checkout
    typed = fresh_shell(in_checkout[:-1], CHECKOUT)
    assert typed.returncode == 0, typed.stdout + typed.stderr
    assert "'status': 'pending_approval'" in typed.stdout
    assert "platform ready" in typed.stdout

    # README's next steps, in the same way
    approve = (
        'for id in $(MLOPS_TOKEN=$({m} token {who}@company.com --role {role}) {m} approvals list --json | {p} -c "'
        "import json, sys; print(*(a['id'] for a in json.load(sys.stdin)['items']))\"); do "
        "MLOPS_TOKEN=$({m} token {who}@company.com --role {role}) {m} approvals approve $id; done"
    )
    people = [("max", "manager"), ("sam", "senior-data-scientist")]
    approvals = [approve.format(m=MLOPS, p=python, who=who, role=role) for who, role in people]
    agreed = fresh_shell([*exports, *approvals], CHECKOUT)
    assert agreed.returncode == 0, agreed.stdout + agreed.stderr
    predict = [*exports, f"{python} examples/2_features_and_predict.py"]
    eventually(lambda: fresh_shell(predict, CHECKOUT).returncode == 0, 300)
    predicted = fresh_shell(predict, CHECKOUT)
    assert "Churn probability: " in predicted.stdout

    # right after example 2, and until the rate is known
    monitor = [*exports, f"{python} examples/3_monitor.py"]
    after = fresh_shell(monitor, CHECKOUT)
    assert (after.returncode, "nan" in after.stdout.lower()) == (0, False), after.stdout + after.stderr

    def rate_is_known() -> bool:
        fresh_shell(predict, CHECKOUT)
        return "last five minutes" not in fresh_shell(monitor, CHECKOUT).stdout

    eventually(rate_is_known, 60)

    # the same lines as printed elsewhere, from an empty folder; the last one stops the platform
    again = fresh_shell(elsewhere, tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "stopped after" in again.stdout
    state = json.loads((first_run.home / "run" / "state.json").read_text())
    assert state["phase"] == "stopped"
