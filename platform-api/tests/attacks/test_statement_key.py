"""A process of the platform that was taken over neither reads the key of statements, nor signs, nor changes what the worker runs.

Each attack runs as the API is run, and as it would be without: the twin is what makes the first half mean something.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from mlops_platform.adapters.local import statement_key
from mlops_platform.local import apart, kept_apart, process_specs
from mlops_platform.local.home import Home
from mlops_platform.local.postgres import EmbeddedPostgres
from mlops_platform.local.process import ProcessSpec
from mlops_platform.settings import Settings
from model_server.sandbox import landlock

from ..support.ports import free_port
from ..support.waiting import eventually
from .key_thief import ATTACKS

THIEF = Path(__file__).with_name("key_thief.py")
# what some systems, and every ordinary user, are refused anyway; the twin then proves nothing, and says so
NOT_EVERYWHERE = {
    "trace_the_worker",
    "read_the_workers_memory",
    "take_the_workers_descriptor",
    "mount_it_elsewhere",
    "open_it_by_its_handle",
    "make_the_disk_as_a_device",
    "change_the_kernels_settings",
    "leave_a_task_for_root",
}
# holds the key as the worker does, and lets everybody trace it who may
WORKER = (
    "import ctypes, sys, time; ctypes.CDLL(None).prctl(0x59616d61, ctypes.c_ulong(-1)); kept = 'worth ' + 'signing'\n"
    "key = open(sys.argv[1], 'rb'); print(key.fileno(), flush=True); time.sleep(900)"
)
KEY = "-----BEGIN PRIVATE KEY-----\nsecret\n"
pytestmark = pytest.mark.skipif(landlock.why_not(landlock.abi()) is not None, reason="this kernel has no Landlock")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home.at(tmp_path_factory.mktemp("attacked") / "home")
    home.create()
    for path in ("signing/statements.pem", "feast/definitions.py", "runtime/specs/one.json", "bundles/b/bundle.json"):
        (home.folder / path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return home


@pytest.fixture
def world(home: Home) -> Iterator[dict[str, Any]]:
    libraries = home.folder.parent / "libraries"
    libraries.mkdir(exist_ok=True)
    home.statement_key_file.write_text(KEY)
    public = home.statement_key_file.with_suffix(".pub")
    public.write_text("public")
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(home.statement_key_file)], stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None
    yield {
        "home": str(home.folder),
        "key": str(home.statement_key_file),
        "public": str(public),
        "writable": str(home.folder / "keys"),
        "libraries": str(libraries),
        "descriptor": int(worker.stdout.readline()),
        "worker": worker.pid,
    }
    worker.kill()
    worker.communicate()
    for left in ("second", "link", "own.pem"):
        (home.folder / "keys" / left).unlink(missing_ok=True)


def _said(spec: ProcessSpec) -> str:
    ended = subprocess.run(spec.argv, capture_output=True, text=True, timeout=120, check=False)
    return ended.stdout or f"withstood: the process ended with {ended.returncode} {ended.stderr[-500:]}"


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_a_process_with_the_rights_of_the_api_gets_nowhere_and_its_twin_without_does(
    home: Home, world: dict[str, Any], name: str
) -> None:
    spec = ProcessSpec("api", [sys.executable, "-I", str(THIEF), name, json.dumps(world)])
    confined = _said(kept_apart.application(spec, home))
    assert "REACHED" not in confined
    # a refusal of the kernel's, not an accident of the attack
    assert "Error" in confined, confined
    assert home.statement_key_file.read_text() == KEY
    free = _said(spec)
    if "REACHED" not in free and name in NOT_EVERYWHERE:
        pytest.skip(f"this system refuses it to everybody: {free}")
    assert "REACHED" in free, free


@pytest.mark.parametrize("of", ["tracking_server", "application", "database"])
def test_each_kind_of_process_is_kept_from_the_key(home: Home, world: dict[str, Any], of: str) -> None:
    spec = ProcessSpec("x", [sys.executable, "-I", str(THIEF), "read_it", json.dumps(world)])
    assert "PermissionError" in _said(getattr(kept_apart, of)(spec, home))


def test_what_the_api_needs_still_works(home: Home, world: dict[str, Any]) -> None:
    code = (
        "import json, os, pathlib, subprocess, sys, tempfile\nhome = pathlib.Path(sys.argv[1])\n"
        "for place in ('audit', 'keys', 'predictions', 'run', 'bundle-cache', 'feast/data'):\n"
        "    (home / place / 'new').write_text('x'); (home / place / 'new').rename(home / 'keys' / 'moved')\n"
        "    assert (home / 'keys' / 'moved').read_text() == 'x'; (home / 'keys' / 'moved').unlink()\n"
        "assert (home / 'signing' / 'statements.pub').read_text() == 'public'\n"
        "with tempfile.NamedTemporaryFile() as file: file.write(b'x')\n"
        "assert subprocess.run(['cat', '/proc/self/status'], capture_output=True, check=True).stdout\n"
        "child = subprocess.Popen(['sleep', '60']); child.terminate(); assert child.wait(30) == -15\n"
        "print('WORKED')\n"
    )
    spec = ProcessSpec("api", [sys.executable, "-I", "-c", code, str(home.folder)])
    assert "WORKED" in _said(kept_apart.application(spec, home))


def test_a_folder_of_counters_that_the_environment_names_can_be_written(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "counters"))
    code = "import os, pathlib; pathlib.Path(os.environ['PROMETHEUS_MULTIPROC_DIR'], 'x.db').write_text('1'); print('WORKED')"
    spec = ProcessSpec("mlflow", [sys.executable, "-I", "-c", code])
    assert "WORKED" in _said(kept_apart.tracking_server(spec, home))


def test_the_next_supervisor_knows_a_program_that_is_kept_apart(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Feast, imported by who starts the platform, names another folder of counters each time: nothing was taken over."""
    spec = ProcessSpec("mlflow", [sys.executable])
    known = set()
    for folder in ("one", "other"):
        monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(home.folder / folder))
        known.add(kept_apart.tracking_server(spec, home).fingerprint())
    assert len(known) == 1


def test_what_a_home_will_hold_is_there_before_the_api_is_kept_apart(tmp_path: Path) -> None:
    """The first bundle was built after the start, and the API could not read it: no model went live."""
    home = Home.at(tmp_path / "home")
    home.create()
    settings = Settings(home=home.folder)
    spec = kept_apart.application(ProcessSpec("api", ["true"]), home)
    beside = set(apart.everything_but(home.statement_key_file))
    needed = {settings.bundle_dir, settings.bundle_cache_dir, settings.environments_dir, settings.runtime_dir}
    assert needed | {settings.keys, settings.prediction_log_dir} <= beside, spec


def test_a_link_beside_the_key_opens_no_way_to_it(tmp_path: Path) -> None:
    key = tmp_path / "home" / "signing" / "statements.pem"
    key.parent.mkdir(parents=True)
    key.write_text(KEY)
    (tmp_path / "home" / "everything").symlink_to("/")
    (key.parent / "same").symlink_to(key)
    rest = set(apart.everything_but(key))
    assert not {tmp_path / "home" / "everything", key.parent / "same", key} & rest
    assert not rest & set(key.parents)


def test_a_key_of_before_is_moved_once_and_never_replaces_another(tmp_path: Path) -> None:
    before, now = tmp_path / "keys" / "statements.pem", tmp_path / "signing" / "statements.pem"
    before.parent.mkdir()
    before.write_text("old")
    statement_key.move(before, now)
    assert now.read_text() == "old"
    assert not before.exists()
    before.write_text("older")
    statement_key.move(before, now)
    assert now.read_text() == "old"


@pytest.mark.slow
def test_the_database_reads_no_key_and_writes_no_program_for_who_has_its_password(
    home: Home, world: dict[str, Any]
) -> None:
    server = EmbeddedPostgres(home.folder / "postgres", free_port(), fsync=False)
    server.prepare()
    attacks = (
        f"SELECT pg_read_file('{world['key']}')",
        f"CREATE TEMPORARY TABLE t (line text); COPY t FROM PROGRAM 'cat {world['key']}'",
        f"COPY (SELECT 'mine') TO '{world['libraries']}/mine.pth'",
    )
    for spec, refused in (
        (kept_apart.database(process_specs.postgres(server), home), True),
        (process_specs.postgres(server), False),
    ):
        process = subprocess.Popen(spec.argv, stderr=subprocess.DEVNULL)
        try:
            eventually(server.answers, 60)
            for attack in attacks:
                with psycopg.connect(server.url("postgres", "postgresql"), autocommit=True) as connection:
                    if refused:
                        with pytest.raises(psycopg.Error, match=r"[Pp]ermission denied|failed"):
                            connection.execute(attack)
                    else:
                        connection.execute(attack)
        finally:
            process.send_signal(spec.stop_signal)
            process.wait(60)
