"""What the features room needs from a feature store."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from mlops_platform.errors import Conflict, Invalid, NotFound, Unavailable

Status = Literal["PRESENT", "NULL", "NOT_FOUND", "OUTSIDE_MAX_AGE"]


class FeatureStoreUnavailable(Unavailable):
    """The feature store cannot be read."""

    title = "The feature store is not answering"

    def __init__(self) -> None:
        super().__init__("Features cannot be read now; predictions by feature values keep working.", retry_after=2)


class FeatureViewNotFound(NotFound):
    """No such view for this caller."""

    title = "There is no such feature view"

    def __init__(self, view: str) -> None:
        super().__init__(
            f"There is no feature view named '{view}' that you can see; `mlops features views` shows yours."
        )


class FeatureNotFound(NotFound):
    """The view has no such feature."""

    title = "There is no such feature"

    def __init__(self, view: str, feature: str, known: Sequence[str]) -> None:
        super().__init__(f"The view '{view}' has no feature '{feature}'; it has: {', '.join(known)}.")


class KeysNotValid(Invalid):
    """The entity keys do not fit the views."""

    title = "The entity keys do not fit"


class RowsNotValid(Invalid):
    """The pushed rows do not fit the view."""

    title = "The rows do not fit the view"


class PushNotPossible(Conflict):
    """The view takes no pushed rows."""

    title = "This view takes no pushed rows"


class OnlineStoreUnordered(Conflict):
    """The online store would let an older event overwrite a newer value."""

    title = "The online store cannot keep newer values"

    def __init__(self, kind: str) -> None:
        super().__init__(
            f"The online store is of type '{kind}', which overwrites newer values with older ones; nothing was written. "
            "Use sqlite, redis or dynamodb in feature_store.yaml."
        )


@dataclass(frozen=True)
class View:
    """A feature view: what it is about (join keys), what it holds, how old a value may be, and whose it is."""

    name: str
    join_keys: dict[str, str]
    features: dict[str, str]
    ttl_seconds: float | None
    tenant: str | None
    """The only team that may see it; None: every team may."""
    online: bool
    description: str
    tags: dict[str, str]
    owner: str | None = None
    """The team that may write a view which every team sees; None: administrators only."""

    @property
    def writer(self) -> str | None:
        """The team whose people may write it."""
        return self.tenant if self.tenant is not None else self.owner


@dataclass(frozen=True)
class EntityType:
    """Something features are about."""

    name: str
    join_key: str
    value_type: str
    description: str


@dataclass(frozen=True)
class OnlineFeatures:
    """Columns in the order asked for; each list has one entry per entity. A value that is not PRESENT is None."""

    columns: dict[str, list[Any]]
    statuses: dict[str, list[Status]]
    timestamps: dict[str, list[datetime | None]]


class FeatureStore(ABC):
    """Features by entity, online and as they were. Every method may raise FeatureStoreUnavailable."""

    @abstractmethod
    async def ping(self) -> None:
        """Return when the online store answers."""

    @abstractmethod
    def views(self) -> Mapping[str, View]:
        """Return every view by name, from memory."""

    @abstractmethod
    def entities(self) -> list[EntityType]:
        """Return every entity type, from memory."""

    @abstractmethod
    async def refresh(self) -> None:
        """Look whether other definitions were applied, and take them; cheap when none were. The old ones stay when that fails."""

    @abstractmethod
    async def materialized(self) -> dict[str, datetime | None]:
        """Return, for each view that is online, up to when it was materialised; None for never."""

    @abstractmethod
    async def online(self, refs: Sequence[tuple[str, str]], keys: Mapping[str, Sequence[Any]]) -> OnlineFeatures:
        """Return the newest values of (view, feature) pairs for entities given by join key columns of one length.

        A value older than its view's time to live is OUTSIDE_MAX_AGE, here as in `historical`. Raises
        FeatureViewNotFound, FeatureNotFound and KeysNotValid.
        """

    @abstractmethod
    async def push(self, view: str, rows: Mapping[str, Sequence[Any]]) -> int:
        """Write rows (columns of one length: join keys, features and `event_timestamp`) online; return how many were taken.

        A newer event is never overwritten by an older one, which is taken and changes nothing; of equal event times the
        row written last stays. A row without an event time happened now, a time without an offset is UTC, and one in the
        future is refused. Only this view is written. Raises FeatureViewNotFound, PushNotPossible, OnlineStoreUnordered,
        RowsNotValid and KeysNotValid.
        """

    @abstractmethod
    async def materialize(self, views: Sequence[str] | None, until: datetime) -> list[str]:
        """Bring what changed since the last time from the offline to the online store; return the views.

        It keeps newer values as `push` does. Raises OnlineStoreUnordered.
        """

    @abstractmethod
    async def historical(self, refs: Sequence[str], entity_rows: Any) -> Any:
        """Return a table of features as they were at each row's `event_timestamp` (point-in-time join)."""
