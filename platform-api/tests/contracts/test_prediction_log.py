"""Every answered row is accounted for: moved once, still waiting, or counted as dropped."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from mlops_platform.adapters.delta import prediction_log as delta_prediction_log
from mlops_platform.adapters.delta.prediction_log import DeltaPredictionLog
from mlops_platform.adapters.delta.table import PredictionTable, PredictionTableUnavailable
from mlops_platform.predictions.interfaces import Account, Backlog, LoggedRow, PredictionLog
from model_server.bundle import InputColumn
from model_server.contract.decoder import Decoder


def record(number: int, rows: int = 1) -> bytes:
    inputs = [{"a": float(number), "b": float(row)} for row in range(rows)]
    return orjson.dumps(
        {
            "id": f"p-{number}",
            "at": 1_795_000_000.0 + number,
            "model": "churn",
            "version": 1,
            "revision": "r",
            "environment": "staging",
            "tenant": "default",
            "inputs": inputs,
            "predictions": [0.5] * rows,
            "entities": None,
            "seconds": 0.001,
        }
    )


def inputs_of(log: PredictionLog) -> list[dict[str, Any]]:
    return [row.inputs for row in log.window("churn", 1, datetime.fromtimestamp(1_795_000_000, UTC), 10)]


@dataclass(frozen=True)
class Place:
    """Where segments and table lie."""

    folder: Path
    table: str | None = None
    endpoint: str | None = None

    @property
    def uri(self) -> str:
        return self.table or str(self.folder / "table")

    def log(self) -> DeltaPredictionLog:
        return DeltaPredictionLog(self.folder, self.table, self.endpoint)

    def opened(self) -> DeltaTable:
        options = {"aws_endpoint_url": self.endpoint, "aws_allow_http": "true"} if self.endpoint else {}
        return DeltaTable(self.uri, storage_options=options)


class PredictionLogContract:
    """What every prediction log keeps to."""

    __test__ = False

    def test_every_row_is_moved_once(self, log: PredictionLog) -> None:
        for number in range(5):
            log.append(record(number, rows=3), 3)
        assert log.account() == Account(stored=0, pending=15, dropped=0)
        log.close()
        assert log.move() == 15
        assert log.move() == 0
        assert log.account() == Account(stored=15, pending=0, dropped=0)

    def test_an_orderly_stop_hands_over_what_was_appended_and_appending_goes_on(self, log: PredictionLog) -> None:
        log.close()
        for number in range(2):
            log.append(record(number), 1)
            log.close()
            log.close()
        assert log.move() == 2

    def test_rows_of_a_window_are_those_since_its_beginning_newest_first(self, log: PredictionLog) -> None:
        since = datetime.fromtimestamp(1_795_000_002, UTC)
        assert log.window("churn", 1, since, 10) == []
        for number in range(4):
            log.append(record(number), 1)
        log.close()
        log.move()
        newest, older = LoggedRow({"a": 3.0, "b": 0.0}, 0.5), LoggedRow({"a": 2.0, "b": 0.0}, 0.5)
        assert log.window("churn", 1, since, 10) == [newest, older]
        assert log.window("churn", 1, since, 1) == [newest]
        assert log.window("churn", 2, since, 10) == []

    def test_a_row_of_several_targets_keeps_its_list(self, log: PredictionLog) -> None:
        pair = orjson.loads(record(1, rows=2)) | {"predictions": [[1.0, 2.0], [3.0, 4.0]]}
        log.append(orjson.dumps(pair), 2)
        log.close()
        log.move()
        found = log.window("churn", 1, datetime.fromtimestamp(1_795_000_000, UTC), 10)
        assert sorted(row.prediction for row in found) == [[1.0, 2.0], [3.0, 4.0]]

    def test_a_line_with_other_answers_than_rows_is_left_out_and_takes_no_other_with_it(
        self, log: PredictionLog
    ) -> None:
        for answers in ([0.5], [0.5] * 4, []):
            log.append(orjson.dumps(orjson.loads(record(1, rows=3)) | {"predictions": answers}), 3)
        log.append(record(2), 1)
        log.close()
        assert log.move() == 1
        assert inputs_of(log) == [{"a": 2.0, "b": 0.0}]

    def test_what_is_not_moved_is_the_backlog(self, log: PredictionLog) -> None:
        assert log.backlog() == Backlog(segments=0, oldest_seconds=0.0)
        log.append(record(1), 1)
        log.close()
        found = log.backlog()
        assert (found.segments, 0 <= found.oldest_seconds < 60) == (1, True)
        log.move()
        assert log.backlog() == Backlog(segments=0, oldest_seconds=0.0)

    def test_rows_of_a_day_are_counted_by_tenant_and_model(self, log: PredictionLog) -> None:
        day = datetime.fromtimestamp(1_795_000_000.0, UTC).date()
        assert log.rows_on(day) == {}
        log.append(record(1, rows=3), 3)
        log.append(record(2), 1)
        log.close()
        log.move()
        log.tidy()
        assert log.rows_on(day) == {("default", "churn"): 4}
        assert log.rows_on(day - timedelta(days=1)) == {}


class DeltaContract(PredictionLogContract):
    """What the log keeps to wherever its table lies."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return Place(tmp_path)

    @pytest.fixture
    def log(self, place: Place) -> Iterator[DeltaPredictionLog]:
        log = place.log()
        yield log
        log.close()

    def test_an_orderly_stop_on_a_disk_that_is_gone_raises_nothing_and_loses_nothing(
        self, log: DeltaPredictionLog, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log.append(record(1), 1)

        def gone(*_: object) -> None:
            raise OSError(errno.EIO, "the disk is gone")

        with monkeypatch.context() as patched:
            patched.setattr(Path, "rename", gone)
            log.close()
        # as after a kill: what is still open belongs to a process that is no more
        (left,) = (place.folder / "segments").glob("*.open")
        left.rename(left.with_name(f"{left.name.split('.')[0]}.{2**22 - 1}.1.open"))
        assert place.log().move() == 1

    @pytest.mark.parametrize("restarted", [False, True])
    def test_a_move_killed_after_its_commit_stores_nothing_twice(
        self, log: DeltaPredictionLog, place: Place, monkeypatch: pytest.MonkeyPatch, restarted: bool
    ) -> None:
        log.append(record(1, rows=2), 2)
        log.close()
        with monkeypatch.context() as patched:
            patched.setattr(Path, "unlink", lambda _self, **_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                log.move()
        assert place.log().account() == Account(stored=2, pending=0, dropped=0)
        # whether the same process goes on or another begins
        mover = place.log() if restarted else log
        assert mover.move() == 0
        assert place.log().account() == Account(stored=2, pending=0, dropped=0)
        assert not list((place.folder / "segments").iterdir())

    def test_a_move_killed_before_its_commit_is_made_by_the_next(
        self, log: DeltaPredictionLog, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log.append(record(1, rows=2), 2)
        log.close()
        with monkeypatch.context() as patched:
            patched.setattr(PredictionTable, "append", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                log.move()
        assert place.log().account() == Account(stored=0, pending=2, dropped=0)
        assert (log.move(), log.move()) == (2, 0)

    def test_segments_that_come_back_with_a_backup_are_not_moved_again(
        self, log: DeltaPredictionLog, place: Place
    ) -> None:
        log.append(record(1, rows=2), 2)
        log.close()
        segment = next((place.folder / "segments").glob("*.ready"))
        content = segment.read_bytes()
        log.move()
        segment.write_bytes(content)
        restarted = place.log()
        assert restarted.move() == 0
        assert restarted.account() == Account(stored=2, pending=0, dropped=0)

    def test_rows_of_earlier_versions_that_lack_their_answer_are_read_all_the_same(
        self, log: DeltaPredictionLog, place: Place
    ) -> None:
        log.append(record(1), 1)
        log.close()
        log.move()
        stored = place.opened().to_pyarrow_table()
        lacking = stored.set_column(
            stored.schema.get_field_index("prediction"),
            "prediction",
            pa.nulls(1, stored.schema.field("prediction").type),
        )
        PredictionTable(place.uri, place.endpoint).append(lacking, ["older"])
        found = log.window("churn", 1, datetime.fromtimestamp(1_795_000_000, UTC), 10)
        assert [row.inputs for row in found] == [{"a": 1.0, "b": 0.0}] * 2
        assert sorted(str(row.prediction) for row in found) == ["0.5", "None"]

    def test_a_segment_that_another_moves_meanwhile_is_stored_once(
        self, log: DeltaPredictionLog, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log.append(record(0), 1)
        log.close()
        log.move()
        log.append(record(1, rows=2), 2)
        log.close()
        other = replace(place, folder=place.folder / "other", table=place.uri)
        shutil.copytree(place.folder / "segments", other.folder / "segments")
        follow = PredictionTable._follow

        def follow_and_be_overtaken(table: PredictionTable) -> DeltaTable | None:
            found = follow(table)
            monkeypatch.undo()
            assert other.log().move() == 2
            return found

        monkeypatch.setattr(PredictionTable, "_follow", follow_and_be_overtaken)
        with pytest.raises(PredictionTableUnavailable):
            log.move()
        assert log.move() == 0
        assert log.account() == Account(stored=3, pending=0, dropped=0)

    def test_many_segments_are_one_commit(self, log: DeltaPredictionLog, place: Place) -> None:
        for number in range(6):
            log.append(record(number), 1)
            log.close()
        assert log.move() == 6
        assert place.opened().version() == 0

    def test_joining_small_files_changes_no_row(self, log: DeltaPredictionLog, place: Place) -> None:
        now = datetime.now(UTC).timestamp()
        for number in range(4):
            log.append(orjson.dumps(orjson.loads(record(number)) | {"at": now + number / 10}), 1)
            log.close()
            log.move()
        assert len(place.opened().file_uris()) == 4
        log.tidy()
        assert len(place.opened().file_uris()) == 1
        assert [row.inputs["a"] for row in log.window("churn", 1, datetime.fromtimestamp(now, UTC), 9)] == [3, 2, 1, 0]
        log.append(record(4), 1)
        log.close()
        assert log.move() == 1

    def test_a_line_torn_by_a_kill_costs_only_itself(self, log: DeltaPredictionLog, tmp_path: Path) -> None:
        log.append(record(1), 1)
        log.append(record(2), 1)
        log.close()
        segment = next((tmp_path / "segments").glob("*.ready"))
        segment.write_bytes(segment.read_bytes()[:-20])
        assert log.move() == 1

    def test_the_callers_layout_does_not_break_a_record(self, log: DeltaPredictionLog) -> None:
        columns = [InputColumn("a", "double", required=True), InputColumn("b", "string", required=True)]
        decoder = Decoder(columns)
        bodies = [
            b'{\n "a": 1,\r\n "b": "x\\n[y"}',
            b'[\n{"a": 1, "b": "\xc3\xa4"},\r{"a": 2, "b": ""}]',
            b'{"a": [1], "b": ["z"]}',
        ]
        for number, raw in enumerate(bodies):
            rows = decoder.decode(raw)
            fields = orjson.loads(record(number)) | {
                "inputs": decoder.objects(raw, rows),
                "predictions": [0.5] * len(rows),
            }
            log.append(orjson.dumps(fields), len(rows))
        log.close()
        assert log.move() == 4
        stored = [(row["a"], row["b"]) for row in inputs_of(log)]
        assert sorted(stored) == [(1, "x\n[y"), (1, "z"), (1, "ä"), (2, "")]

    def test_rows_are_stored_with_all_they_came_with(self, log: DeltaPredictionLog, place: Place) -> None:
        fields = orjson.loads(record(1, rows=3)) | {
            "predictions": ["yes", [0.25, 0.75], 0.1],
            "entities": ["c-1", 7, "é"],
        }
        log.append(orjson.dumps(fields), 3)
        log.close()
        log.move()
        rows = place.opened().to_pyarrow_table().to_pylist()
        assert [(row["row"], row["entity"], orjson.loads(row["prediction"])) for row in rows] == [
            (0, "c-1", "yes"),
            (1, "7", [0.25, 0.75]),
            (2, "é", 0.1),
        ]
        assert {row["prediction_id"] for row in rows} == {"p-1"}
        assert {row["at"].isoformat() for row in rows} == {"2026-11-18T11:06:41+00:00"}
        assert {row["date"] for row in rows} == {"2026-11-18"}

    def test_a_forked_process_does_not_write_what_its_parent_holds(self, log: DeltaPredictionLog) -> None:
        log.hold(record(1), 1)
        child = os.fork()
        if child == 0:
            log.commit()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        log.commit()
        assert log.account().pending == 1

    def test_a_forked_process_writes_a_segment_of_its_own(self, log: DeltaPredictionLog, tmp_path: Path) -> None:
        log.append(record(1), 1)
        child = os.fork()
        if child == 0:
            log.append(record(2), 1)
            os._exit(0)
        os.waitpid(child, 0)
        log.append(record(3), 1)
        assert sorted(path.read_bytes().count(b"\n") for path in (tmp_path / "segments").glob("*.open")) == [1, 2]

    def test_segments_of_dead_processes_are_moved_and_those_of_living_ones_are_not(
        self, log: DeltaPredictionLog, tmp_path: Path
    ) -> None:
        log.append(record(1), 1)
        mine = next((tmp_path / "segments").glob("*.open"))
        assert log.move() == 0
        mine.rename(mine.with_name(mine.name.replace(f".{os.getpid()}.", ".999999.")))
        assert log.move() == 1

    def test_a_full_disk_drops_and_counts_and_never_fails_the_answer(
        self, log: DeltaPredictionLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log.append(record(1), 1)

        def full(*_: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(delta_prediction_log.os, "write", full)
            log.append(record(2, rows=4), 4)
        log.append(record(3), 1)
        log.close()
        log.move()
        assert log.account() == Account(stored=2, pending=0, dropped=4)


class TestInAFolder(DeltaContract):
    __test__ = True

    @pytest.mark.parametrize("broken", ["close", "rename"])
    def test_a_segment_that_cannot_be_closed_or_renamed_is_handed_over_later(
        self, log: DeltaPredictionLog, monkeypatch: pytest.MonkeyPatch, broken: str
    ) -> None:
        def fails(*_: object) -> None:
            raise OSError(errno.EIO, "Input/output error")

        def closed_and_fails(descriptor: int, close: Callable[[int], None] = os.close) -> None:
            # as the system does it: the number is free although closing said no
            close(descriptor)
            fails()

        monkeypatch.setattr(delta_prediction_log, "_SEGMENT_SECONDS", -1.0)
        log.append(record(1), 1)
        with monkeypatch.context() as patched:
            if broken == "close":
                patched.setattr(os, "close", closed_and_fails)
            else:
                patched.setattr(Path, "rename", fails)
            log.flush()
            log.append(record(2), 1)
        log.flush()
        assert log.move() == 2
        assert log.account() == Account(stored=2, pending=0, dropped=0)

    def test_a_write_that_fails_on_a_file_that_cannot_be_closed_fails_no_answer(
        self, log: DeltaPredictionLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(*_: object) -> None:
            raise OSError(errno.EIO, "Input/output error")

        log.append(record(1), 1)
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", fails)
            patched.setattr(os, "close", fails)
            log.append(record(2), 1)
        log.append(record(3), 1)
        log.close()
        assert log.move() == 2
        assert log.account().dropped == 1

    def test_a_table_that_a_restore_put_back_is_gone_on_with(self, log: DeltaPredictionLog, place: Place) -> None:
        for number in range(3):
            log.append(record(number), 1)
            log.close()
            log.move()
        for version in (1, 2):
            (place.folder / "table" / "_delta_log" / f"{version:020}.json").unlink()
        log.append(record(3), 1)
        log.close()
        with pytest.raises(PredictionTableUnavailable):
            log.move()
        assert log.move() == 1
        assert log.account() == Account(stored=2, pending=0, dropped=0)
