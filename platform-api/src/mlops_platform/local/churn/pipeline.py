"""From purchases to features, as they were known at each of a row of moments. Pure table work."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

FEATURES = (
    "total_purchases",
    "days_since_last_purchase",
    "average_order_value",
    "purchases_last_30d",
    "spend_last_90d",
)
_DAY = 86_400.0


def features_at(events: pd.DataFrame, moment: datetime, customers: Sequence[str]) -> pd.DataFrame:
    """Return one row per customer from the purchases strictly before `moment`; what happened later cannot be seen.

    A customer who never bought has zeros, and the days since the first purchase of anybody as the days since the last.
    """
    known = events[events["at"] < pd.Timestamp(moment)]
    index = pd.Index(customers)
    owner = index.get_indexer(pd.Index(known["customer_id"]))
    count = len(index)
    age_days = (pd.Timestamp(moment) - known["at"]).dt.total_seconds().to_numpy() / _DAY
    amount = known["amount"].to_numpy()
    total = np.bincount(owner, minlength=count)
    spent = np.bincount(owner, weights=amount, minlength=count)
    last = np.full(count, (pd.Timestamp(moment) - events["at"].min()).total_seconds() / _DAY)
    np.minimum.at(last, owner, age_days)
    recent, quarter = age_days <= 30, age_days <= 90  # noqa: PLR2004 - the windows the features are named after
    return pd.DataFrame(
        {
            "customer_id": list(customers),
            "event_timestamp": pd.Timestamp(moment),
            "total_purchases": total.astype("int64"),
            "days_since_last_purchase": np.round(last, 3),
            "average_order_value": np.round(np.divide(spent, total, out=np.zeros(count), where=total > 0), 2),
            "purchases_last_30d": np.bincount(owner[recent], minlength=count).astype("int64"),
            "spend_last_90d": np.round(np.bincount(owner[quarter], weights=amount[quarter], minlength=count), 2),
        }
    )


def history(events: pd.DataFrame, end: datetime, customers: Sequence[str]) -> pd.DataFrame:
    """Return features at every thirtieth day of the last year, the newest at `end`."""
    moments = [end - timedelta(days=days) for days in range(360, -1, -30)]
    return pd.concat([features_at(events, moment, customers) for moment in moments], ignore_index=True)


def labels(events: pd.DataFrame, moments: pd.DataFrame, horizon_days: int = 60) -> pd.Series:
    """Return, per (customer_id, event_timestamp) row, 1 when nothing was bought in the days after it, else 0."""
    merged = moments.reset_index(drop=True).reset_index(names="row").merge(events, on="customer_id")
    after = (merged["at"] >= merged["event_timestamp"]) & (
        merged["at"] < merged["event_timestamp"] + pd.Timedelta(days=horizon_days)
    )
    bought = merged.loc[after, "row"].unique()
    churned = np.ones(len(moments), dtype="int64")
    churned[bought] = 0
    return pd.Series(churned, name="churned")
