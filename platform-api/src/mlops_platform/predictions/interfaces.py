"""What the data plane needs from outside: a log that keeps every answered prediction."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Account:
    """Where every answered row is: moved to the table, still in segments, or dropped because it could not be written."""

    stored: int
    pending: int
    dropped: int


@dataclass(frozen=True)
class Backlog:
    """What the table does not hold yet."""

    segments: int
    oldest_seconds: float


@dataclass(frozen=True)
class LoggedRow:
    """One answered row."""

    inputs: dict[str, Any]
    prediction: Any


class Made(NamedTuple):
    """Whose answer a prediction was."""

    model_name: str
    version: int
    environment: str


class PredictionLog(ABC):
    """Keeps answered predictions. A prediction never fails because its log does: what is lost is counted and alerted.

    What reads the table raises a PlatformError when it is not answering.
    """

    @abstractmethod
    async def ping(self) -> None:
        """Return when the log can be written; raises a PlatformError otherwise."""

    @abstractmethod
    def hold(self, record: bytes, rows: int) -> None:
        """Take one JSON record (without line feed) of so many rows. Never raises. `commit` is due before its answer is sent."""

    @abstractmethod
    def commit(self) -> None:
        """Keep the records that are held, so that they outlive this process. Never raises, never waits on a network."""

    def append(self, record: bytes, rows: int) -> None:
        """Keep one record at once."""
        self.hold(record, rows)
        self.commit()

    @abstractmethod
    def flush(self) -> None:
        """Hand what was counted since the last call to the metrics, and finished records to whoever moves them. Never raises."""

    @abstractmethod
    def close(self) -> None:
        """Hand over what this process still writes to: for an orderly stop. Never raises, and appending opens it again.

        What cannot be handed over now is moved when the process is gone, as after a kill.
        """

    @abstractmethod
    def move(self) -> int:
        """Move finished segments to the table, exactly once each; return the rows moved. Blocking: for the worker.

        Raises a PlatformError when the table is not answering; nothing is lost then, and the next pass goes on.
        """

    @abstractmethod
    def tidy(self) -> None:
        """Keep the table quick to read: join small files, delete what is no longer part of it. Blocking: for the worker."""

    @abstractmethod
    def account(self) -> Account:
        """Count every row. Blocking."""

    @abstractmethod
    def backlog(self) -> Backlog:
        """Return how many segments wait to be moved, and the age of the oldest that could be. Blocking, cheap."""

    @abstractmethod
    def window(self, model_name: str, version: int, since: datetime, limit: int) -> list[LoggedRow]:
        """Return the newest stored rows of a version since a time, at most `limit`. Blocking."""

    @abstractmethod
    def find(self, prediction_id: str) -> Made | None:
        """Return whose answer a prediction of the last two days was, None when the log has none of this id. Blocking.

        Segments of other machines are seen once their rows are in the table.
        """

    @abstractmethod
    def rows_on(self, day: date) -> dict[tuple[str, str], int]:
        """Return the stored rows of a day (UTC) by tenant and model: what shared costs are divided by. Blocking."""
