"""Who keeps a head can check the log without the platform: by its proofs, offline, and a forged one does not hold."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from mlops_platform.audit.witness import NotAProof, consistency_problems, inclusion_problems, kept_head
from mlops_platform.bootstrap import BuiltServices
from mlops_platform.cli.main import app

from .test_anchors import write

AUDIT = "/api/v1/audit"


@pytest.fixture
async def ask(
    services: BuiltServices, client: httpx.AsyncClient, as_: Callable[..., dict[str, str]]
) -> Callable[..., Any]:
    async def get(path: str, status: int = 200) -> Any:
        answer = await client.get(AUDIT + path, headers=as_("aud@company.com", "auditor"))
        assert answer.status_code == status, answer.text
        return answer.json()

    return get


async def test_every_older_head_is_proven_to_be_the_beginning(services: BuiltServices, ask: Callable[..., Any]) -> None:
    kept = []
    for _ in range(9):
        await write(services.database)
        kept.append(await ask("/heads/latest"))
    for head in kept:
        proof = await ask(f"/proofs/consistency?first={head['size']}")
        assert consistency_problems(kept_head(head), proof) == []
    between = await ask("/proofs/consistency?first=3&second=7")
    assert consistency_problems(kept_head(kept[2]), between) == []
    assert consistency_problems(kept_head(kept[3]), between), "another head's proof"


async def test_every_event_is_proven_to_be_in_the_log(services: BuiltServices, ask: Callable[..., Any]) -> None:
    await write(services.database, 7)
    head = await ask("/heads/latest")
    await write(services.database, 3)
    for seq in range(1, 8):
        proof = await ask(f"/events/{seq}/proof?size=7")
        assert inclusion_problems(kept_head(head), proof) == []
        assert inclusion_problems(kept_head(head), proof | {"payload": proof["payload"] + " "})
        assert inclusion_problems(kept_head(head), proof | {"seq": seq % 7 + 1})
    assert "?size=7" in inclusion_problems(kept_head(head), await ask("/events/2/proof"))[0]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/proofs/consistency?first=0", 422),
        ("/proofs/consistency?first=4", 404),
        ("/proofs/consistency?first=1&second=9", 404),
        ("/proofs/consistency?first=3&second=2", 404),
        ("/proofs/consistency?first=99999999999999999999", 422),
        ("/events/0/proof", 422),
        ("/events/4/proof", 404),
        ("/events/3/proof?size=2", 404),
    ],
)
async def test_what_there_is_no_proof_of(
    services: BuiltServices, ask: Callable[..., Any], path: str, status: int
) -> None:
    await write(services.database, 3)
    problem = await ask(path, status)
    assert problem["detail"]


async def test_an_empty_log_proves_nothing(services: BuiltServices, ask: Callable[..., Any]) -> None:
    for path in ("/heads/latest", "/proofs/consistency?first=1", "/events/1/proof"):
        await ask(path, 404)


@pytest.mark.parametrize(
    "path", ["/heads/latest", "/proofs/consistency?first=1", "/events/1/proof", "/verifications/latest"]
)
async def test_only_auditors_are_given_proofs(
    services: BuiltServices, client: httpx.AsyncClient, as_: Callable[..., dict[str, str]], path: str
) -> None:
    await write(services.database)
    assert (await client.get(AUDIT + path, headers=as_("ana@company.com", "data-scientist"))).status_code == 403
    assert (await client.get(AUDIT + path)).status_code == 401


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"size": 0},
        {"size": True},
        {"size": 1, "root": "zz"},
        {"size": 1, "root": "00" * 32, "at": "yesterday", "signature": "x"},
        {"size": 1, "root": "00" * 32, "at": "2026-01-01T00:00:00+00:00", "signature": "x", "public_key": "x"},
        None,
        [],
    ],
)
def test_a_file_that_is_no_head_is_said_to_be_none(told: Any) -> None:
    with pytest.raises(NotAProof):
        kept_head(told)


async def test_the_offline_checker_takes_what_holds_and_nothing_else(
    services: BuiltServices, ask: Callable[..., Any], tmp_path: Path
) -> None:
    await write(services.database, 4)
    head = await ask("/heads/latest")
    inclusion = await ask("/events/2/proof")
    await write(services.database, 4)
    consistency = await ask("/proofs/consistency?first=4")

    def checked(proof: Any, kept: Any) -> int:
        files = [tmp_path / "proof.json", tmp_path / "head.json"]
        for file, told in zip(files, (proof, kept), strict=True):
            file.write_text(json.dumps(told))
        return CliRunner().invoke(app, ["audit", "check-proof", str(files[0]), "--head", str(files[1])]).exit_code

    assert checked(inclusion, head) == checked(consistency, head) == 0
    assert checked(inclusion | {"seq": 3}, head) != 0
    assert checked(consistency | {"proof": [*consistency["proof"], "00" * 32]}, head) != 0
    assert checked(consistency, head | {"root": "00" * 32}) != 0, "a head that its key did not sign"
    assert checked({}, head) != 0
