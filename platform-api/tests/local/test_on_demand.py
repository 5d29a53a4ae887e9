"""Processes of compiled models run only while somebody wants explanations; who comes meanwhile waits, and nobody is lost."""

import asyncio
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from mlops_platform.adapters.local.runtime import socket_path
from mlops_platform.local import supervised
from mlops_platform.local.forked import ForkedChild
from mlops_platform.local.model_host import ModelHost
from mlops_platform.local.model_processes import model_processes
from mlops_platform.local.watchdog_client import Watchdog
from mlops_platform.predictions.answers import AnswerForm
from mlops_platform.predictions.problems import ModelProcessDown
from mlops_platform.predictions.process import ModelProcess
from model_server.template.owner import possible

from .compiled_model import built
from .conftest import is_alive
from .test_model_host import Runtime

pytestmark = pytest.mark.skipif(
    not possible(), reason="models have processes of their own here: Linux with pidfd is needed"
)

TRIAL = [sys.executable, "-I", "-m", "model_server.serve", "--trial"]
HOSTILE = Path(__file__).with_name("hostile_server.py")
ROW: dict[str, Any] = {"columns": ["a", "b", "c"], "rows": [[0.5, 1.0, -1.0]]}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("built"))


class Demanded(Runtime):
    """A runtime whose host serves real bundles, and who asks them."""

    def __init__(self, folder: Path, bundles: Path) -> None:
        super().__init__(folder)
        shutil.copytree(bundles, folder / "bundles")

    @asynccontextmanager
    async def serving(self, idle_seconds: float = 600) -> AsyncIterator[ModelHost]:
        with Watchdog() as watchdog:
            host = ModelHost(
                self.folder, self.folder / "bundles", watchdog, self.events.append, TRIAL, idle_seconds=idle_seconds
            )
            host.start()
            try:
                yield host
            finally:
                await host.stop()

    async def is_idle(self, name: str) -> None:
        await self.until(lambda: self.status(name).get("process") == "idle", 60)
        assert self.status(name)["pid"] is None

    async def explained(self, name: str) -> tuple[int, dict[str, Any]]:
        transport = httpx.AsyncHTTPTransport(uds=str(socket_path(self.folder, name)))
        async with httpx.AsyncClient(transport=transport, base_url="http://model", timeout=60) as client:
            answer = await client.post("/explain", json=ROW)
            return answer.status_code, answer.json()


@pytest.fixture
def demanded(tmp_path: Path, bundles: Path) -> Demanded:
    return Demanded(tmp_path, bundles)


async def test_a_compiled_model_is_proven_then_leaves_and_starts_once_for_all_who_come_at_once(
    demanded: Demanded,
) -> None:
    demanded.order("churn", bundle="compiled")
    demanded.order("plain", bundle="native")
    async with demanded.serving(idle_seconds=0.5):
        first = await demanded.is_ready("churn")
        assert demanded.status("churn")["message"] == "answers"
        assert psutil.Process(first).ppid() == psutil.Process(await demanded.is_ready("plain")).ppid()
        await demanded.is_idle("churn")
        assert not is_alive(first)
        found = demanded.status("churn")
        assert (found["state"], found["restarts"]) == ("ready", 0)
        assert found["message"] == "predicts; explanations: their process starts when somebody asks"
        began = time.monotonic()
        answers = await asyncio.gather(*(demanded.explained("churn") for _ in range(5)))
        assert time.monotonic() - began < 20
        assert [status for status, _ in answers] == [200] * 5
        assert len(answers[0][1]["shap_values"]) == 1
        # one process served all: it was started once
        log = (demanded.folder / "logs" / "churn.log").read_text()
        assert "Error" not in log, log
        await demanded.is_idle("churn")
        assert demanded.status("plain")["process"] == "ready", "a model that does not compile keeps its process"
    assert not (demanded.folder / "s").joinpath(socket_path(demanded.folder, "churn").name).exists()


async def test_a_process_stays_while_it_answers_and_connections_of_the_moment_it_leaves_are_answered(
    demanded: Demanded,
) -> None:
    demanded.order("churn", bundle="compiled")
    async with demanded.serving(idle_seconds=0.2):
        await demanded.is_ready("churn")
        # it leaves and comes many times; each question finds it in another moment
        for number in range(6):
            assert (await demanded.explained("churn"))[0] == 200
            moment = time.monotonic() + 0.25 + 0.04 * number
            await demanded.until(lambda moment=moment: time.monotonic() > moment)  # type: ignore[misc]
        assert demanded.status("churn")["restarts"] == 0


async def test_what_was_proven_is_not_started_by_the_next_host_and_what_changed_is(demanded: Demanded) -> None:
    demanded.order("churn", bundle="compiled")
    async with demanded.serving():
        await demanded.is_ready("churn")
    assert demanded.status("churn")["state"] is None
    async with demanded.serving():
        await demanded.is_idle("churn")
        assert demanded.status("churn")["state"] == "ready"
        assert (await demanded.explained("churn"))[0] == 200
        demanded.order("churn", bundle="compiled", version=2)
        await demanded.until(lambda: demanded.status("churn")["state"] == "starting", 30)
        await demanded.is_ready("churn")


async def test_a_process_that_is_killed_is_started_again_and_its_end_is_told(demanded: Demanded) -> None:
    demanded.order("churn", bundle="compiled")
    async with demanded.serving():
        first = await demanded.is_ready("churn")
        os.kill(first, signal.SIGKILL)
        await demanded.until(lambda: demanded.status("churn")["restarts"] == 1)
        await demanded.until(lambda: demanded.status("churn")["pid"] not in {None, first}, 30)
        assert (await demanded.explained("churn"))[0] == 200
    assert "was killed by SIGKILL" in next(event.sentence for event in demanded.events if event.kind == "restarting")


async def test_a_process_killed_while_it_starts_loses_nobody_who_waits(
    demanded: Demanded, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[int] = []

    class DiesOnce(ForkedChild):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            if not killed:
                os.kill(self.pid, signal.SIGKILL)
                killed.append(self.pid)

    demanded.order("churn", bundle="compiled")
    async with demanded.serving(idle_seconds=0.3):
        await demanded.is_ready("churn")
        await demanded.is_idle("churn")
        monkeypatch.setattr(supervised, "ForkedChild", DiesOnce)
        assert (await demanded.explained("churn"))[0] == 200
        assert len(killed) == 1
        assert demanded.status("churn")["restarts"] == 1


async def test_a_start_that_is_refused_is_said_to_who_asks_and_predictions_go_on(demanded: Demanded) -> None:
    demanded.order("churn", bundle="compiled")
    described = demanded.folder / "bundles" / "compiled" / "bundle.json"
    async with demanded.serving(idle_seconds=0.3):
        await demanded.is_ready("churn")
        await demanded.is_idle("churn")
        kept = described.stat()
        described.write_text(described.read_text().replace('"compiled"', '"other"').replace("sha256:", "sha256:0"))
        os.utime(described, ns=(kept.st_atime_ns, kept.st_mtime_ns))
        for _ in range(2):
            status, answer = await demanded.explained("churn")
            assert (status, answer["reason"]) == (503, "no_process")
            assert "digest_mismatch" in answer["error"] or "bad_bundle" in answer["error"], answer
        caller = ModelProcess(
            "churn", str(socket_path(demanded.folder, "churn")), ROW["columns"], AnswerForm(None, None)
        )
        with pytest.raises(ModelProcessDown, match=r"digest_mismatch|bad_bundle"):
            await caller.explain([ROW["rows"][0]])
        await caller.close()
        await demanded.until(lambda: demanded.status("churn").get("process") == "failed")
        found = demanded.status("churn")
        assert found["state"] == "ready"
        assert found["message"].startswith("predicts; explanations: ")
        described.touch()
        await demanded.until(lambda: demanded.status("churn")["state"] == "failed", 30)


async def test_a_start_that_never_works_is_tried_when_somebody_asks_and_who_asks_meanwhile_is_told(
    demanded: Demanded, monkeypatch: pytest.MonkeyPatch
) -> None:
    demanded.order("churn", bundle="compiled")
    async with demanded.serving(idle_seconds=0.3) as host:
        await demanded.is_ready("churn")
        await demanded.is_idle("churn")
        process = host._models["churn"].process
        assert process is not None
        monkeypatch.setattr(process, "spec", replace(process.spec, argv=[*process.spec.argv[:4], "--no-such-option"]))
        status, answer = await demanded.explained("churn")
        assert status == 503
        assert "ended with code 2" in answer["error"]
        await demanded.until(lambda: "started again when somebody asks" in demanded.status("churn")["message"], 30)
        monkeypatch.undo()
        assert (await demanded.explained("churn"))[0] == 200


async def test_a_process_that_harms_the_shared_socket_harms_neither_its_host_nor_the_next_process(
    demanded: Demanded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "TRIAL", [sys.executable, str(HOSTILE)])
    demanded.order("churn", bundle="compiled")
    async with demanded.serving():
        await demanded.is_idle("churn")
        assert demanded.status("churn")["state"] == "ready"
        assert await demanded.explained("churn") == (200, {})
        # it ends with a code of no meaning, at once each time: who asks in the pause is told, by a host that does not stand still
        await demanded.until(lambda: demanded.status("churn")["restarts"] >= 1)


async def test_a_killed_host_is_followed_by_one_that_takes_over_a_running_process(demanded: Demanded) -> None:
    demanded.order("churn", bundle="compiled")
    script = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom mlops_platform.local.model_host import ModelHost\n"
        "from mlops_platform.local.watchdog_client import Watchdog\n"
        "async def main():\n"
        f"    host = ModelHost(Path({str(demanded.folder)!r}), Path({str(demanded.folder / 'bundles')!r}), Watchdog(60), print,"
        f" {TRIAL!r}, idle_seconds=3)\n"
        "    host.start()\n    await asyncio.sleep(600)\n"
        "asyncio.run(main())"
    )
    host = psutil.Popen([sys.executable, "-c", script])
    before = await demanded.is_ready("churn")
    template = psutil.Process(before).parent()
    host.kill()
    host.wait()
    assert template is not None
    await demanded.until(lambda: not is_alive(template.pid), 10)
    assert is_alive(before)
    async with demanded.serving(idle_seconds=600):
        await demanded.until(lambda: demanded.status("churn").get("process") == "ready")
        assert demanded.status("churn")["pid"] == before
        assert (await demanded.explained("churn"))[0] == 200
        # it was told by the first host when to leave; the second one listens then
        await demanded.is_idle("churn")
        assert (await demanded.explained("churn"))[0] == 200
        assert demanded.status("churn")["pid"] != before


async def test_a_killed_template_ends_no_process_and_the_next_start_has_another(demanded: Demanded) -> None:
    demanded.order("plain", bundle="native")
    async with demanded.serving():
        pid = await demanded.is_ready("plain")
        template = psutil.Process(pid).parent()
        assert template is not None
        template.kill()
        await demanded.until(lambda: not is_alive(template.pid), 10)
        demanded.order("other", bundle="native")
        another = psutil.Process(await demanded.is_ready("other")).parent()
        assert another is not None
        assert another.pid != template.pid
        assert demanded.status("plain")["pid"] == pid
        assert is_alive(pid)
        os.kill(pid, signal.SIGKILL)
        await demanded.until(lambda: demanded.status("plain")["restarts"] == 1)
        await demanded.until(lambda: demanded.status("plain")["pid"] not in {None, pid}, 30)


async def test_many_models_start_a_few_at_a_time_and_those_that_wait_say_so(demanded: Demanded) -> None:
    names = [f"m{number}" for number in range(30)]
    for name in names:
        demanded.order(name, bundle="native")
    said: set[str] = set()
    most = 0

    def all_ready() -> bool:
        nonlocal most
        found = [demanded.status(name) for name in names]
        said.update(str(each.get("message")) for each in found)
        most = max(most, sum(each.get("process") == "starting" for each in found))
        return all(each["state"] == "ready" for each in found)

    async with demanded.serving():
        await demanded.until(all_ready, 120)
        assert any(text.startswith("waits for its turn") for text in said), said
        assert most <= max(2, os.cpu_count() or 2)
        shown = model_processes(demanded.folder)
        assert len(shown) == 30
        shares = [psutil.Process(each.pid).memory_full_info().pss for each in shown if each.pid]
        # each has its own model; the libraries are shared
        assert sum(shares) / len(shares) < 80e6, [round(share / 1e6) for share in shares]


@pytest.mark.whole("the way without a template, which test_model_host walks with another program")
async def test_an_order_that_wants_its_libraries_otherwise_has_an_interpreter_of_its_own(demanded: Demanded) -> None:
    demanded.order("churn", bundle="compiled", environment_vars={"OMP_NUM_THREADS": "2"})
    async with demanded.serving(idle_seconds=0.5):
        pid = await demanded.is_ready("churn")
        assert "model_server.serve" in " ".join(psutil.Process(pid).cmdline())
        await demanded.is_idle("churn")
        assert (await demanded.explained("churn"))[0] == 200


def test_a_status_that_another_version_wrote_is_read(tmp_path: Path) -> None:
    for folder in ("specs", "status"):
        (tmp_path / folder).mkdir()
    (tmp_path / "specs" / "r.json").write_text(json.dumps({"model_name": "churn", "version": 1}))
    written = {"state": "ready", "pid": 1, "process_started": 1.0, "restarts": 0}
    (tmp_path / "status" / "r.json").write_text(json.dumps(written))
    assert [each.state for each in model_processes(tmp_path)] == ["ready"]
    (tmp_path / "status" / "r.json").write_text(json.dumps({**written, "pid": None, "process": "idle"}))
    assert [each.state for each in model_processes(tmp_path)] == ["idle"]
