"""AWS Cost Explorer: what each service cost, day by day and by tenant tag."""

from datetime import date
from decimal import Decimal
from typing import Any

import anyio

from mlops_platform.adapters.aws.clients import Clients, answering
from mlops_platform.costs.interfaces import Bill, Cost, CostsUnavailable

# Cost Explorer answers in us-east-1, whatever region the bill is of
_REGION = "us-east-1"
_CREDIT = {"Credit", "Refund"}


class AwsCosts(Bill):
    """Reads unblended costs of everything that carries the environment's tag. Each page costs a cent."""

    def __init__(self, tenant_tag: str, environment_tag: str, environment: str, client: Any = None) -> None:
        self._tenant_tag = tenant_tag
        self._environment = (environment_tag, environment)
        self._client = client
        self._clients = Clients(read_timeout=30, attempts=3, region=_REGION)

    async def costs(self, since: date, until: date) -> list[Cost]:
        return await anyio.to_thread.run_sync(self._read, since, until)

    def _read(self, since: date, until: date) -> list[Cost]:
        name, value = self._environment
        request: dict[str, Any] = {
            "TimePeriod": {"Start": since.isoformat(), "End": until.isoformat()},
            "Granularity": "DAILY",
            "Metrics": ["UnblendedCost"],
            "GroupBy": [{"Type": "DIMENSION", "Key": "SERVICE"}, {"Type": "TAG", "Key": self._tenant_tag}],
            "Filter": {
                "And": [
                    {"Tags": {"Key": name, "Values": [value]}},
                    {"Not": {"Dimensions": {"Key": "RECORD_TYPE", "Values": sorted(_CREDIT)}}},
                ]
            },
        }
        found: list[Cost] = []
        with answering(_unavailable):
            client = self._client or self._clients["ce"]
            while True:
                page = client.get_cost_and_usage(**request)
                found += [cost for entry in page["ResultsByTime"] for cost in _costs(entry)]
                if not page.get("NextPageToken"):
                    return found
                request["NextPageToken"] = page["NextPageToken"]


def _unavailable() -> CostsUnavailable:
    return CostsUnavailable(
        "AWS Cost Explorer does not answer, or the role may not ask it (ce:GetCostAndUsage); known costs are kept.",
        retry_after=600,
    )


def _costs(entry: dict[str, Any]) -> list[Cost]:
    day = date.fromisoformat(entry["TimePeriod"]["Start"])
    found = []
    for group in entry.get("Groups", ()):
        service, tag = group["Keys"]
        # a tag comes as 'key$value'; nothing after the sign means that the resource carries none
        tenant = tag.partition("$")[2]
        usd = Decimal(group["Metrics"]["UnblendedCost"]["Amount"])
        if usd:
            found.append(Cost(day, service, tenant, "", usd))
    return found
