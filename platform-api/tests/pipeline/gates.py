"""Asking for gates, as people and pipelines do."""

from typing import Any

from mlops_platform.builds.gate_runs import measure_waiting

from ..flows.conftest import Road

ENGINEER = ("eng@company.com", "ml-engineer")
PIPELINE = ("pipeline@company.com", "service", "ml-engineer")


def gates_path(name: str, rest: str = "") -> str:
    return f"/api/v1/models/{name}/versions/1/gates{rest}"


async def measure(
    road: Road, name: str, gate: str, who: tuple[str, ...] = ("ana@company.com", "data-scientist")
) -> Any:
    """Ask the platform to measure, let the worker do it, return the result."""
    asked = await road.client.post(gates_path(name), json={"gate": gate, "fresh": True}, headers=road.as_(*who))
    assert asked.status_code == 202, asked.text
    assert asked.json()["state"] == "waiting"
    await measure_waiting(road.services)
    seen = await road.ask("GET", gates_path(name, f"/{gate}"), road.as_("v@company.com", "viewer"))
    assert seen["state"] == "done"
    return seen["result"]


async def open_gates(road: Road, name: str, environment: str = "production") -> dict[str, str]:
    answer = await road.ask("GET", gates_path(name, f"?environment={environment}"), road.as_("v@company.com", "viewer"))
    return {one["gate"]: one["state"] for one in answer["open"]}
