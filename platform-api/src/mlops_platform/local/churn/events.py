"""Made-up purchases: seeded, so that everybody's shop is the same."""

from datetime import datetime, timedelta

import numpy as np
import pandas as pd

CUSTOMERS = 10_000
DAYS = 540
_SEED = 20_261_101


def purchases(end: datetime, customers: int = CUSTOMERS) -> pd.DataFrame:
    """Return purchases in the `DAYS` days before `end`: customer_id, at (UTC), amount; sorted by time.

    Three customers in ten stop buying at some point; those who will tend to buy less often. About 25 events a customer.
    """
    random = np.random.default_rng(_SEED)
    leaves = random.random(customers) < 0.3  # noqa: PLR2004 - three in ten
    # days a customer is active from the start; who stays is active to the end
    active = np.where(leaves, random.uniform(60, DAYS, customers), DAYS)
    rate = random.gamma(4.0, 1.0, customers) * np.where(leaves, 0.012, 0.0145)
    counts = random.poisson(rate * active) + 1
    owner = np.repeat(np.arange(customers), counts)
    days = random.random(counts.sum()) * active[owner]
    typical = random.lognormal(3.4, 0.5, customers)
    amount = np.round(typical[owner] * random.lognormal(0, 0.35, counts.sum()), 2)
    start = pd.Timestamp(end - timedelta(days=DAYS))
    at = start + pd.to_timedelta((days * 86_400).astype("int64"), unit="s")
    names = np.array([f"customer_{number}" for number in range(customers)])
    table = pd.DataFrame({"customer_id": names[owner], "at": at, "amount": amount})
    return table.sort_values("at", kind="stable", ignore_index=True)
