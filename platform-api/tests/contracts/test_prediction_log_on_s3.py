"""The prediction log with its table on S3 (a server that answers as AWS's): what it asks for, and what happens when S3 is away."""

import json
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from mlops_platform.adapters.delta.prediction_log import DeltaPredictionLog
from mlops_platform.adapters.delta.table import PredictionTableUnavailable
from mlops_platform.predictions.interfaces import Account

from .s3 import SESSION, EmulatedS3, emulated_s3
from .test_prediction_log import DeltaContract, Place, record

SINCE = datetime.fromtimestamp(1_795_000_000, UTC)


@pytest.fixture(scope="module")
def s3() -> Iterator[EmulatedS3]:
    with emulated_s3("log") as server:
        yield server


class TestOnS3(DeltaContract):
    __test__ = True

    @pytest.fixture
    def place(self, s3: EmulatedS3, tmp_path: Path) -> Iterator[Place]:
        yield Place(tmp_path, f"s3://log/{tmp_path.name}/predictions", s3.url)
        s3.fault = None

    def test_s3_that_is_away_delays_moving_and_nothing_else(self, log: DeltaPredictionLog, s3: EmulatedS3) -> None:
        log.append(record(1, rows=2), 2)
        log.close()
        assert log.move() == 2
        s3.fault = lambda *_: "away"
        for number in range(3):
            log.append(record(number), 1)
            log.close()
            with pytest.raises(PredictionTableUnavailable):
                log.move()
        assert log.backlog().segments == 3
        for read in (
            log.account,
            log.tidy,
            lambda: log.window("churn", 1, SINCE, 5),
            lambda: log.rows_on(SINCE.date()),
        ):
            with pytest.raises(PredictionTableUnavailable):
                read()
        s3.fault = None
        assert log.move() == 3
        assert log.backlog().segments == 0
        assert log.account() == Account(stored=5, pending=0, dropped=0)

    async def test_a_log_whose_table_is_away_can_be_written(self, log: DeltaPredictionLog, s3: EmulatedS3) -> None:
        s3.fault = lambda *_: "away"
        await log.ping()

    def test_an_address_where_nobody_answers_is_told_as_one_that_is_away(self, tmp_path: Path) -> None:
        log = Place(tmp_path, "s3://log/nowhere", "http://127.0.0.1:9").log()
        log.append(record(1), 1)
        log.close()
        with pytest.raises(PredictionTableUnavailable):
            log.move()

    def test_a_token_that_ran_out_is_told_by_its_code_and_not_repeated(
        self, log: DeltaPredictionLog, s3: EmulatedS3
    ) -> None:
        log.append(record(1), 1)
        log.close()
        s3.fault = lambda *_: "expired"
        with capture_logs() as logged, pytest.raises(PredictionTableUnavailable) as refused:
            log.move()
        said = str(logged) + "".join(traceback.format_exception(refused.value))
        assert "ExpiredToken" in said
        assert SESSION[:19] not in said

    def test_a_bucket_that_does_not_exist_keeps_segments_where_they_are(self, s3: EmulatedS3, tmp_path: Path) -> None:
        log = Place(tmp_path, "s3://no-such-bucket/predictions", s3.url).log()
        log.append(record(1), 1)
        log.close()
        with pytest.raises(PredictionTableUnavailable):
            log.move()
        assert log.backlog().segments == 1

    @pytest.mark.parametrize("what", ["lost", "away"])
    @pytest.mark.parametrize("first", [True, False], ids=["the first commit", "a later one"])
    def test_a_commit_whose_answer_is_lost_is_stored_once(
        self, log: DeltaPredictionLog, s3: EmulatedS3, what: str, first: bool
    ) -> None:
        before = 0 if first else 1
        if not first:
            log.append(record(0), 1)
            log.close()
            log.move()
        log.append(record(1, rows=2), 2)
        log.close()
        s3.fault = lambda method, path: what if method == "PUT" and path.endswith(".json") else None
        with pytest.raises(PredictionTableUnavailable):
            log.move()
        s3.fault = None
        log.move()
        assert log.account() == Account(stored=before + 2, pending=0, dropped=0)
        assert log.backlog().segments == 0

    def test_writers_at_the_same_time_store_every_row_once(self, place: Place, tmp_path: Path) -> None:
        writers = [Place(tmp_path / str(number), place.table, place.endpoint) for number in range(3)]

        def write(writer: Place) -> None:
            log = writer.log()
            for number in range(8):
                log.append(record(number), 1)
                log.close()
                while log.backlog().segments:
                    # two that make the table at once: one is told so, and its next pass finds it made
                    with suppress(PredictionTableUnavailable):
                        log.move()

        threads = [threading.Thread(target=write, args=(writer,)) for writer in writers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [writer.log().backlog().segments for writer in writers] == [0, 0, 0]
        assert place.log().account() == Account(stored=24, pending=0, dropped=0)
        assert place.opened().version() == 23

    def test_a_commit_is_conditional_and_moving_deletes_nothing_and_names_no_key(
        self, log: DeltaPredictionLog, s3: EmulatedS3
    ) -> None:
        s3.asked.clear()
        # past the log's first checkpoint
        for number in range(101):
            log.append(record(number), 1)
            log.close()
            log.move()
        assert {asked.method for asked in s3.asked} <= {"GET", "HEAD", "PUT"}
        written = [asked for asked in s3.asked if asked.method == "PUT"]
        assert any(asked.path.endswith(".checkpoint.parquet") for asked in written)
        # the bucket encrypts with its own key and refuses whoever names another way
        assert not [name for asked in written for name in asked.headers if "encryption" in name or "acl" in name]
        commits = [asked for asked in written if asked.path.endswith(".json")]
        assert len(commits) == 101
        assert {asked.headers.get("if-none-match") for asked in commits} == {"*"}

    def test_a_mover_asks_a_few_times_per_commit_however_long_the_log_is(
        self, log: DeltaPredictionLog, s3: EmulatedS3
    ) -> None:
        for number in range(30):
            s3.asked.clear()
            log.append(record(number), 1)
            log.close()
            log.move()
        assert len(s3.asked) < 10


class PodIdentityAgent(BaseHTTPRequestHandler):
    """Hands out keys as the agent of EKS does, each for as long as the test says."""

    lifetimes: list[timedelta]
    tokens: list[str | None]

    def do_GET(self) -> None:
        self.tokens.append(self.headers.get("authorization"))
        end = datetime.now(UTC) + self.lifetimes[min(len(self.tokens), len(self.lifetimes)) - 1]
        keys = {
            "AccessKeyId": f"KEY{len(self.tokens)}",
            "SecretAccessKey": "secret",
            "Token": f"session{len(self.tokens)}",
        }
        body = json.dumps(
            keys | {"AccountId": "123456789012", "Expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ")}
        ).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def agent() -> Iterator[tuple[str, type[PodIdentityAgent]]]:
    handler = type("Agent", (PodIdentityAgent,), {"tokens": [], "lifetimes": [timedelta(hours=6)]})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/credentials", handler
    server.shutdown()
    server.server_close()


_POD = """
import pathlib, sys, time
from mlops_platform.adapters.delta.prediction_log import DeltaPredictionLog
log = DeltaPredictionLog(pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3])
for _ in range(3):
    log.append(sys.argv[4].encode(), 1)
    log.close()
    assert log.move() == 1
    time.sleep(float(sys.argv[5]))
"""


@pytest.fixture
def pod(s3: EmulatedS3, agent: tuple[str, type[PodIdentityAgent]], tmp_path: Path) -> Callable[[float], list[str]]:
    """A process that knows what EKS tells a pod, and no key; returns the session that each of its three commits carried."""

    def run(pause: float) -> list[str]:
        token = tmp_path / "token"
        token.write_text("the pod's own token")
        s3.asked.clear()
        environment = {
            "AWS_REGION": "us-east-1",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": agent[0],
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
            "HOME": str(tmp_path),
        }
        arguments = [str(tmp_path), f"s3://log/{tmp_path.name}/pod", s3.url, record(1).decode(), str(pause)]
        subprocess.run([sys.executable, "-c", _POD, *arguments], check=True, env=environment, timeout=60)
        assert all("x-amz-security-token" in asked.headers for asked in s3.asked)
        commits = [asked for asked in s3.asked if asked.method == "PUT" and asked.path.endswith(".json")]
        return [asked.headers["x-amz-security-token"] for asked in commits]

    return run


def test_a_pod_writes_with_the_keys_pod_identity_gives_it(
    pod: Callable[[float], list[str]], agent: tuple[str, type[PodIdentityAgent]]
) -> None:
    _, second, third = pod(0)
    assert second == third
    assert set(agent[1].tokens) == {"the pod's own token"}


def test_keys_that_run_out_are_asked_for_again(
    pod: Callable[[float], list[str]], agent: tuple[str, type[PodIdentityAgent]]
) -> None:
    agent[1].lifetimes = [timedelta(seconds=2)]
    _, second, third = pod(2.1)
    assert second != third
