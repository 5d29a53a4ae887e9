"""Code of a hostile model reaches nothing: every payload is tried in a process confined as a model's is, started and forked
from a template, and succeeds in its twin without. The twin is what makes the first half mean something.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model_server.sandbox import environment
from model_server.sandbox.confine import available
from model_server.template.messages import Request
from model_server.template.owner import OwnedTemplate
from model_server.template.preload import VARIABLES

from .payloads import PAYLOADS

PROCESS = Path(__file__).with_name("hostile_process.py")
SECRETS = {"MLOPS_DATABASE_URL": "postgresql://secret", "OPENSSL_CONF": "/dev/null"}
# what some systems refuse to everybody; the twin then proves nothing, and says so
NOT_EVERYWHERE = {
    "use_io_uring",
    "enter_a_user_namespace",
    "change_attributes",
    "reach_mlflow_over_ipv6",
    "write_shared_memory",
    "ptrace",
    "read_the_memory_of_another",
    "read_the_kernels_log",
    "open_a_key_by_its_handle",
    "take_a_descriptor_of_another",
    "join_a_namespace_of_another",
    "keep_a_secret_in_the_kernel",
    "catch_page_faults",
    "be_told_of_changes_by_a_signal",
    "watch_a_whole_file_system",
}
pytestmark = pytest.mark.skipif(bool(available().gaps), reason="this machine cannot confine a process")

# a process of the same user that would be worth tracing: it lets everybody who may
VICTIM = "import ctypes, sys, time; ctypes.CDLL(None).prctl(0x59616d61, ctypes.c_ulong(-1)); print(flush=True); time.sleep(900)"


def _files(home: Path) -> None:
    secrets = ("issuer.pem", "audit.pem", "audit-pseudonyms.key", "models.pem")
    for path in (
        *(f"keys/{name}" for name in secrets),
        "postgres/password",
        "run/state.json",
        "bundles/other/model.pkl",
    ):
        (home / path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        (home / path).write_text("secret")
        (home / path).chmod(0o600)
    (home / "runtime").mkdir()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A platform's home, its sockets and ports, and another process: everything hostile code would like to reach."""
    home = tmp_path_factory.mktemp("h")
    _files(home)
    (home / "bundle").mkdir()
    opened: list[socket.socket] = []

    def listening(family: int, kind: int, address: Any) -> socket.socket:
        server = socket.socket(family, kind)
        opened.append(server)
        server.bind(address)
        if kind == socket.SOCK_STREAM:
            server.listen(100)
        return server

    unix = {name: str(home / "runtime" / f"{name}.sock") for name in ("database", "model", "datagram")}
    listening(socket.AF_UNIX, socket.SOCK_STREAM, unix["database"])
    listening(socket.AF_UNIX, socket.SOCK_STREAM, unix["model"])
    listening(socket.AF_UNIX, socket.SOCK_DGRAM, unix["datagram"])
    abstract = f"attacked-{os.getpid()}"
    listening(socket.AF_UNIX, socket.SOCK_STREAM, f"\0{abstract}")
    ports = {
        "api": listening(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)).getsockname()[1],
        "udp": listening(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)).getsockname()[1],
    }
    try:
        ports["mlflow"] = listening(socket.AF_INET6, socket.SOCK_STREAM, ("::1", 0)).getsockname()[1]
    except OSError:
        ports["mlflow"] = 1
    victim = subprocess.Popen([sys.executable, "-c", VICTIM], env={**os.environ, **SECRETS}, stdout=subprocess.PIPE)
    assert victim.stdout is not None
    victim.stdout.readline()
    yield {
        "home": str(home),
        "bundle": str(home / "bundle"),
        "victim": victim.pid,
        "abstract": abstract,
        **ports,
        **{f"{name}_socket": path for name, path in unix.items()},
    }
    victim.kill()
    victim.communicate()
    for server in opened:
        server.close()


@pytest.fixture(scope="module")
def template() -> Iterator[OwnedTemplate]:
    """A template as the platform's own, whose children run a payload."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-I", str(PROCESS.with_name("hostile_template.py")), str(theirs.fileno())]
    with theirs:
        process = subprocess.Popen(command, env=VARIABLES, pass_fds=[theirs.fileno()], start_new_session=True)
    owned = OwnedTemplate(ours, process)
    yield owned
    owned.close()


def forked(template: OwnedTemplate, arguments: list[str], variables: dict[str, str], folder: Path, kept: int) -> str:
    """Run the payload in a process forked from the template and return what it says."""
    with tempfile.TemporaryFile() as said, Path(os.devnull).open("r+b") as nothing:
        child = template.fork()
        request = Request("hostile_process", arguments, variables, str(folder))
        child.begin(request, {0: nothing.fileno(), 1: said.fileno(), 2: said.fileno(), kept: kept})
        code = child.wait(60)
        child.close()
        said.seek(0)
        text = said.read().decode()
    return (
        text
        if "REACHED" in text or "withstood" in text
        else f"withstood: Error: the process ended with {code} {text[-300:]}"
    )


def tried(world: dict[str, Any], name: str, mode: str, scratch: Path, template: OwnedTemplate | None = None) -> str:
    """Run the payload and return what it says; in a process of its own, or forked from the template."""
    home = Path(world["home"])
    # what payloads change is there anew for each
    for changed in ("touched", "emptied", "moved", "runtime/replaced.sock"):
        (home / changed).unlink(missing_ok=True)
        (home / changed).write_text("as it was")
    with (home / "keys" / "issuer.pem").open("rb") as left_open:
        place = {**world, "scratch": str(scratch), "left_open": left_open.fileno()}
        variables = (
            {**os.environ, **SECRETS} if mode == "free" else environment.clean({**os.environ, **SECRETS}, scratch)
        )
        arguments = [name, mode, json.dumps(place)]
        if template is not None:
            return forked(template, arguments, variables, scratch, left_open.fileno())
        ended = subprocess.run(
            [sys.executable, "-I", str(PROCESS), *arguments],
            env=variables,
            cwd=scratch,
            pass_fds=[left_open.fileno()],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            start_new_session=True,
        )
    return ended.stdout or f"withstood: the process ended with {ended.returncode} {ended.stderr[-300:]}"


@pytest.mark.parametrize("name", sorted(PAYLOADS))
def test_hostile_code_reaches_nothing_and_its_twin_without_a_sandbox_does(
    world: dict[str, Any], template: OwnedTemplate, name: str, tmp_path: Path
) -> None:
    for mode in ("confined", "forked", "free"):
        (tmp_path / mode).mkdir()
    for way, parent in (("confined", None), ("forked", template)):
        confined = tried(world, name, "confined", tmp_path / way, parent)
        assert "REACHED" not in confined, way
        # a refusal of the kernel's, not an accident of the payload
        assert "Error" in confined, (way, confined)
    free = tried(world, name, "free", tmp_path / "free")
    if "REACHED" not in free and name in NOT_EVERYWHERE:
        pytest.skip(f"this system refuses it to everybody: {free}")
    assert "REACHED" in free, free


def test_what_a_model_needs_still_works(world: dict[str, Any], tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from model_server.sandbox.confine import Confinement, confine\n"
        "from model_server.sandbox.limits import SERVING\n"
        f"confine(Confinement((Path({world['bundle']!r}),), Path({str(tmp_path)!r}), SERVING, private=True))\n"
        "import threading, tempfile, numpy as np, lightgbm, xgboost, onnxruntime, shap\n"
        "from sklearn.ensemble import RandomForestClassifier\n"
        "X = np.random.rand(200, 5); y = (X[:, 0] > 0.5).astype(int)\n"
        "RandomForestClassifier(5, n_jobs=2).fit(X, y).predict(X)\n"
        "lightgbm.LGBMClassifier(n_estimators=3, n_jobs=2, verbose=-1).fit(X, y).predict(X)\n"
        "xgboost.XGBClassifier(n_estimators=3, n_jobs=2).fit(X, y).predict(X)\n"
        "threading.Thread(target=lambda: X @ X.T).start()\n"
        "tempfile.TemporaryFile().write(b'x')\n"
        f"list(Path({world['bundle']!r}).iterdir())\n"
        "print('ANSWERED')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path
    )
    assert "ANSWERED" in ended.stdout, ended.stderr


def test_a_process_that_has_started_threads_is_not_confined_but_refused(tmp_path: Path) -> None:
    code = (
        "import threading, sys\nfrom pathlib import Path\n"
        "from model_server.sandbox.confine import Confinement, MoreThanOneThread, confine\n"
        "from model_server.sandbox.limits import SERVING\n"
        "done = threading.Event(); early = threading.Thread(target=done.wait); early.start()\n"
        "try:\n"
        f"    confine(Confinement((), Path({str(tmp_path)!r}), SERVING))\n"
        "except MoreThanOneThread as refusal:\n"
        "    print(refusal)\n"
        "done.set()\n"
    )
    ended = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert "would stay free" in ended.stdout


def test_a_machine_without_landlock_says_so_and_production_refuses_to_load(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "from model_server.refusals import Refused\n"
        "from model_server.sandbox import landlock\n"
        "landlock.abi = lambda: 0\n"
        "from model_server.sandbox.confine import Confinement, confine\n"
        "from model_server.sandbox.limits import SERVING\n"
        f"sealed = confine(Confinement((), Path({str(tmp_path)!r}), SERVING))\n"
        "print(sealed.sentence)\n"
        "sealed.demand('best-effort')\n"
        "try:\n    sealed.demand('required')\n"
        "except Refused as refusal:\n    print(refusal.code)\n"
        "import socket\n"
        "try:\n    socket.socket()\n"
        "except PermissionError:\n    print('system calls hold')\n"
    )
    ended = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert "no files (Landlock is not there or switched off)" in ended.stdout, ended.stderr
    assert ended.stdout.splitlines()[-2:] == ["not_confined", "system calls hold"]
