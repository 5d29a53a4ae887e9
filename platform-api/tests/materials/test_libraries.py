"""The libraries of a version: what its build found, beside the live version, with what is known of them."""

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.model.bom import Bom

from mlops_platform.checks import service as checks
from mlops_platform.environment_locks.contents import installed
from mlops_platform.environment_locks.difference import Change, changes
from mlops_platform.environment_locks.service import by_setting
from mlops_platform.materials.known import KnownAdvisories
from tests.console.test_console import sign_in
from tests.support.ground import Ground

from .test_advisories import ranges, record

OWN = {"kind": "own", "environment": "a" * 64, "python": "3.11.7"}


async def found(ground: Ground, version: int, **libraries: str) -> None:
    """Record what the build of a version would."""
    detail = {**OWN, "packages": libraries, "licences": {"scikit-learn": "BSD-3-Clause"}}
    async with ground.services.database.session() as session:
        await checks.record(session, ground.names[0], version, "environment", "passed", "libraries of its own", detail)


async def shown(ground: Ground, version: int, **query: str) -> Any:
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    return await ground.ask("GET", f"/models/{ground.names[0]}/versions/{version}/libraries?{asked}")


def test_what_differs_is_named() -> None:
    assert changes({"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2", "d": "1"}) == [
        Change("b", "1", "2"),
        Change("c", "1", None),
        Change("d", None, "1"),
    ]


def test_the_platforms_libraries_come_with_what_they_need_and_their_licences() -> None:
    here = installed(["Scikit_Learn", "no-such-library"])
    assert {"scikit-learn", "numpy", "scipy", "joblib"} <= here.keys()
    assert "no-such-library" not in here
    assert "BSD" in str(here["scikit-learn"].licence)
    step = by_setting().step
    assert step["packages"]["onnxruntime"]
    assert step["licences"].keys() == step["packages"].keys()


async def test_a_version_is_compared_with_the_one_that_is_live(ground: Ground) -> None:
    await ground.answering(1)
    await ground.another_version(ground.names[0])
    await found(ground, 1, **{"scikit-learn": "1.2.2", "numpy": "1.26.4"})
    await found(ground, 2, **{"scikit-learn": "1.3.2", "numpy": "1.26.4"})
    second = await shown(ground, 2, environment="staging")
    assert (second["kind"], second["compared_with"]) == ("own", 1)
    assert second["changes"] == [{"library": "scikit-learn", "before": "1.2.2", "now": "1.3.2"}]
    assert {"name": "scikit-learn", "version": "1.3.2", "licence": "BSD-3-Clause"} in second["libraries"]
    assert second["vulnerabilities"] is None
    # nothing is live in production, and a version is not compared with itself
    assert (await shown(ground, 2))["compared_with"] is None
    assert (await shown(ground, 1, environment="staging"))["compared_with"] is None


async def test_a_version_that_was_not_built_says_so(ground: Ground) -> None:
    await ground.registered(1)
    version = await shown(ground, 1)
    assert (version["kind"], version["libraries"]) == ("unknown", [])
    assert "ask for a deployment" in version["sentence"]


async def test_another_tenant_sees_nothing_of_it(ground: Ground, as_: Callable[..., dict[str, str]]) -> None:
    await ground.registered(1)
    await found(ground, 1, numpy="1.26.4")
    stranger = as_("eve@company.com", "data-scientist", tenant="other")
    for what in ("libraries", "sbom"):
        path = f"/api/v1/models/{ground.names[0]}/versions/1/{what}"
        assert (await ground.client.get(path, headers=stranger)).status_code == 404


async def test_the_bill_of_materials_is_one_that_others_read(ground: Ground) -> None:
    await ground.registered(1)
    await found(ground, 1, **{"scikit-learn": "1.3.2", "numpy": "1.26.4"})
    path = f"/api/v1/models/{ground.names[0]}/versions/1/sbom"
    answer = await ground.client.get(path, headers=ground.headers)
    assert answer.headers["content-type"].startswith("application/vnd.cyclonedx+json")
    assert answer.json()["specVersion"] == "1.6"
    bill = Bom.from_json(json.loads(answer.content))
    assert {(one.name, one.version, str(one.purl)) for one in bill.components} == {
        ("scikit-learn", "1.3.2", "pkg:pypi/scikit-learn@1.3.2"),
        ("numpy", "1.26.4", "pkg:pypi/numpy@1.26.4"),
    }
    assert bill.metadata.component is not None
    assert (bill.metadata.component.name, bill.metadata.component.version) == (ground.names[0], "1")
    # compared with one that is kept elsewhere, it is the same
    assert (await ground.client.get(path, headers=ground.headers)).content == answer.content


async def test_known_vulnerabilities_are_named_and_a_damaged_source_hides_no_library(
    ground: Ground, tmp_path: Path
) -> None:
    source = tmp_path / "advisories.json"
    source.write_text(json.dumps(record(1, "numpy", **ranges({"introduced": "0"}, {"fixed": "2.0"}))))
    known = KnownAdvisories(source)
    services = replace(ground.services, advisories=known)
    from tests.conftest import client_for

    async with client_for(services) as client:
        ground.client = client
        await ground.registered(1)
        await found(ground, 1, numpy="1.26.4")
        both = await asyncio.gather(shown(ground, 1), shown(ground, 1))
        for version in both:
            (hit,) = version["vulnerabilities"]
            assert (hit["id"], hit["fixed_in"], version["advisories"]) == ("PYSEC-2026-1", "2.0", 1)
        source.write_text("{")
        os.utime(source, (1, 1))
        damaged = await shown(ground, 1)
        assert "advisories.json" in damaged["not_read"]
        assert damaged["libraries"]
        assert damaged["vulnerabilities"] is None
        source.write_text("[]")
        assert (await shown(ground, 1))["vulnerabilities"] == []


@pytest.mark.parametrize("kind", ["version", "approval"])
async def test_who_approves_sees_it_on_the_page(ground: Ground, kind: str, token_for: Callable[..., str]) -> None:
    deployed = await ground.deployed(1, risk="high")
    await found(ground, 1, **{"scikit-learn": "1.3.2"})
    name = ground.names[0]
    path = (
        f"/console/models/{name}/versions/1"
        if kind == "version"
        else f"/console/approvals/{deployed[name]['approval_id']}"
    )
    await sign_in(ground.client, token_for("max@company.com", "manager"))
    answer = await ground.client.get(path)
    assert answer.status_code == 200, answer.text[:300]
    assert "libraries of its own" in answer.text
    assert "BSD-3-Clause" in answer.text
