"""The churn project on disk: raw events, feature history, its view in a Feast repository, features of every customer online."""

import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from mlops_platform.kit.clock import now
from mlops_platform.local import feature_project
from mlops_platform.local.churn import place
from mlops_platform.local.churn.events import CUSTOMERS, purchases
from mlops_platform.local.churn.pipeline import FEATURES, history, labels
from mlops_platform.settings import Settings

# the shop's clock: an older preparation is made again, so that "the last 30 days" stays true
_STALE = timedelta(days=14)


class DemoMissing(Exception):
    """There is no demo where it was looked for; the text says what to do."""

    def __init__(self, repo: Path) -> None:
        super().__init__(
            f"There is no demo in {repo}. Start the platform with `mlops up` (without --no-demo), or set MLOPS_HOME to the home "
            "it runs with. Where the feature repository is a team's own, the demo is left out: use another home for it."
        )


def prepare(settings: Settings, progress: Callable[[str], None]) -> None:
    """Make the demo, or make it again when it is old, unless the repository holds what the demo did not make.

    Nothing is deleted, and only the demo's own files, view and features are replaced. Safe to interrupt and to run twice
    at once: what is half made is marked as such and finished by the next run.
    """
    repo = settings.feast_folder
    try:
        _prepare(repo, progress)
    except place.NotOurs as stranger:
        # files without a project: the feature store needs one, as without the demo
        feature_project.ensure(repo)
        progress(f"the demo was left out: {stranger}")


def _prepare(repo: Path, progress: Callable[[str], None]) -> None:
    with place.locked(place.find(repo)):
        # somebody may have come first
        folder = place.find(repo)
        made = place.read(folder)
        if made and made.complete and made.end and now() - made.end < _STALE:
            progress("the churn project is prepared")
            return
        end = now().replace(hour=0, minute=0, second=0, microsecond=0)
        first = made is None or made.end is None
        _ensure_untouched(repo, first=first, marked=made is not None)
        place.write(folder, place.Marker(made.end if made else None, complete=False))
        events = purchases(end)
        feature_project.ensure(repo)
        with place.replacing(folder / place.EVENTS) as fresh:
            events.to_parquet(fresh, index=False)
        progress(f"{len(events):,} purchases of {CUSTOMERS:,} customers")
        table = history(events, end, _customers())
        with place.replacing(folder / place.HISTORY) as fresh:
            table.to_parquet(fresh, index=False)
        progress(f"{len(table):,} rows of feature history")
        _apply(repo, folder / place.HISTORY, progress)
        _materialize(repo, end)
        place.write(folder, place.Marker(end, complete=True))
        progress("features of every customer are online")


def _ensure_untouched(repo: Path, *, first: bool, marked: bool) -> None:
    """Look into the registry, where there is one. Raises NotOurs."""
    if not (repo / "data" / "registry.db").exists():
        return
    from mlops_platform.adapters.feast.opening import open_repository
    from mlops_platform.local.churn import definitions

    try:
        store = open_repository(repo)
        free, applied = definitions.is_free(store), definitions.is_applied(store)
    except OSError as error:
        raise place.NotOurs(f"the registry cannot be read ({error})") from error
    if not marked and not free:
        raise place.NotOurs(f"{repo} has definitions that were not made by it")
    if not first and not applied:
        raise place.NotOurs(f"somebody changed or removed the view '{definitions.VIEW}'; its features stay as they are")


def _apply(repo: Path, kept: Path, progress: Callable[[str], None]) -> None:
    from mlops_platform.adapters.feast.opening import open_repository
    from mlops_platform.local.churn import definitions

    store = open_repository(repo)
    if definitions.is_applied(store) and definitions.history_of(store, repo) == kept:
        return
    definitions.apply(store, str(kept.relative_to(repo)))
    progress("feature definitions applied")


def _materialize(repo: Path, end: datetime) -> None:
    from mlops_platform.adapters.feast.opening import open_repository
    from mlops_platform.local.churn.definitions import VIEW

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store = open_repository(repo)
        store.materialize(start_date=end - timedelta(days=1), end_date=datetime.now(UTC), feature_views=[VIEW])


def training_set(settings: Settings | None = None) -> pd.DataFrame:
    """Return one row per customer: features as they were at a random moment (point-in-time join) and whether the customer churned.

    Moments lie between 300 and 60 days ago, so that the 60 days after each are known. Raises DemoMissing.
    """
    from mlops_platform.adapters.feast.opening import open_repository
    from mlops_platform.local.churn.definitions import VIEW

    repo = (settings or Settings()).feast_folder
    folder = place.has(repo)
    made = place.read(folder) if folder else None
    if folder is None or made is None or made.end is None or not (folder / place.EVENTS).exists():
        raise DemoMissing(repo)
    end = made.end
    events = pd.read_parquet(folder / place.EVENTS)
    days = np.random.default_rng(3).uniform(60, 300, CUSTOMERS)
    moments = pd.DataFrame(
        {
            "customer_id": _customers(),
            "event_timestamp": pd.Timestamp(end) - pd.to_timedelta((days * 86_400).astype("int64"), unit="s"),
        }
    )
    moments["churned"] = labels(events, moments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store = open_repository(repo)
        joined = store.get_historical_features(
            entity_df=moments, features=[f"{VIEW}:{name}" for name in FEATURES]
        ).to_df()
    table: pd.DataFrame = joined.dropna().sort_values("customer_id", ignore_index=True)
    return table


def _customers() -> list[str]:
    return [f"customer_{number}" for number in range(CUSTOMERS)]
