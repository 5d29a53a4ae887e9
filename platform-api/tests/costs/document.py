"""The figures in docs/business/costs.md, computed. `python -m tests.costs.document` (in platform-api) writes them again."""

import copy
import re
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from mlops_platform.costs import report
from mlops_platform.costs.estimate import Estimate, estimate
from mlops_platform.costs.prices import load_prices, load_usage
from mlops_platform.infrastructure.plan import read

from .plans import ENVIRONMENTS, ROOT, kept

PAGE = ROOT / "docs" / "business" / "costs.md"
DAY = date(2026, 11, 24)
SUPPORTED = "1.35"
EXTENDED = "1.33"
# the lines of the first estimate for development, and the services of ours that they cover
FIRST = (
    ("EKS control plane", 73, ("EKS",)),
    ("EC2, 3 x m5.large and 2 x m5.xlarge spot", 180, ("EC2",)),
    ("RDS db.t3.medium", 60, ("RDS",)),
    ("storage, S3 and EBS", 30, ("S3", "EBS")),
    ("data transfer", 10, ("Data transfer",)),
)
# the smallest development environment that still runs every part
SMALL: Mapping[str, Mapping[str, Any]] = {
    'aws_eks_node_group.this["system"]': {"instance_types": ["t3a.large"], "scaling_config": [{"desired_size": 2}]},
    'aws_eks_node_group.this["compute"]': {"scaling_config": [{"desired_size": 1}]},
    "aws_eks_cluster.this": {"version": SUPPORTED},
    "aws_db_instance.this": {"instance_class": "db.t4g.small"},
}


def changed(document: dict[str, Any], changes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A plan with other values at addresses that end as named."""
    copied = copy.deepcopy(document)

    def resources(module: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield from module["resources"]
        for child in module["child_modules"]:
            yield from resources(child)

    for ending, values in changes.items():
        matching = [
            entry for entry in resources(copied["planned_values"]["root_module"]) if entry["address"].endswith(ending)
        ]
        assert matching, f"no resource ends with {ending}"
        for entry in matching:
            entry["values"].update(values)
    return copied


def of(environment: str, changes: Mapping[str, Mapping[str, Any]] | None = None) -> Estimate:
    """The estimate of an environment on the day of the page."""
    return estimate(read(changed(kept(environment), changes or {})), load_prices(), load_usage(environment), DAY)


def blocks() -> dict[str, str]:
    """Every generated block of the page by its name."""
    estimates = [of(environment) for environment in ENVIRONMENTS]
    supported = [of(environment, {"aws_eks_cluster.this": {"version": SUPPORTED}}) for environment in ENVIRONMENTS]
    late = [of(environment, {"aws_eks_cluster.this": {"version": EXTENDED}}) for environment in ENVIRONMENTS]
    totals = " | ".join(f"{each.total:,.2f}" for each in late)
    small = of("dev", SMALL)
    return {
        "environments": report.markdown(estimates),
        "supported": f"| Kubernetes | dev | staging | production |\n|---|---:|---:|---:|\n| {_version()} (planned) | {' | '.join(f'{each.total:,.2f}' for each in estimates)} |\n| {EXTENDED}, out of standard support | {totals} |\n",
        "first": _first(supported[0]),
        "small": report.markdown([small]),
        "year": f"Production for a year at these prices: {12 * supported[-1].total:,.2f} USD on Kubernetes {SUPPORTED}.\n",
    }


def _version() -> str:
    clusters = read(kept("dev")).of("aws_eks_cluster")
    return str(clusters[0].values["version"])


def _first(dev: Estimate) -> str:
    ours = dev.by_service()
    lines = ["| line | first estimate | this estimate |", "|---|---:|---:|"]
    spoken: set[str] = set()
    for name, amount, services in FIRST:
        spoken |= set(services)
        lines.append(
            f"| {name} | {amount} | {sum((ours.get(service, Decimal(0)) for service in services), Decimal(0)):,.2f} |"
        )
    rest = {name: amount for name, amount in ours.items() if name not in spoken}
    lines += [f"| {name} | not mentioned | {amount:,.2f} |" for name, amount in rest.items()]
    lines.append(f"| total | {sum(amount for _, amount, _ in FIRST)} | {dev.total:,.2f} |")
    return "\n".join(lines) + "\n"


def written(text: str) -> str:
    """The page with every block as it is computed now."""
    for name, content in blocks().items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        assert pattern.search(text), f"the page has no block {name}"
        text = pattern.sub(lambda found, content=content: f"{found.group(1)}\n{content}\n{found.group(2)}", text)  # type: ignore[misc]
    return text


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
