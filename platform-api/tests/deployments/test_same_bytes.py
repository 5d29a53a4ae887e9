"""Bytes are built once, whoever asks for them: two names, two workers, one after the other or at once."""

import asyncio
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlops_platform.bootstrap import build_database
from mlops_platform.builds import bundles, same_bytes
from mlops_platform.builds.building import build_pending
from mlops_platform.builds.bundles import Built, lock_name, obtain
from mlops_platform.kit.digests import tree_digest
from model_server.build.report import write_json
from tests.support.bundles import halves
from tests.support.ground import Ground


class _Builds:
    """The build program, as it is seen from outside: it takes a while and writes a bundle."""

    def __init__(self) -> None:
        self.of: list[str] = []

    async def run(
        self, _services: Any, source: Path, output: Path, name: str, version: int, *rest: Any
    ) -> dict[str, Any]:
        self.of.append(name)
        await asyncio.sleep(0.3)
        halves(output)
        shutil.copytree(source, output / "native")
        described = json.loads((output / "bundle.json").read_text())
        mine = {"model_name": name, "model_version": version, "feature_refs": rest[0]}
        write_json(output / "bundle.json", described | mine | {"digest": tree_digest(source)})
        report = json.loads((output / "report.json").read_text())
        return bundles._completed(output, report | mine, rest[1])


@pytest.fixture
def builds(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> _Builds:
    """Registered versions have the same bytes, and none is built yet."""
    found = _Builds()
    monkeypatch.setattr(bundles, "_run", found.run)
    write = Path.write_text

    def alike(self: Path, text: str, *args: Any, **more: Any) -> int:
        return write(self, "the same" if self.name == "model.txt" else text, *args, **more)

    monkeypatch.setattr(Path, "write_text", alike)
    return found


def unbuilt(ground: Ground) -> None:
    for path in ground.services.settings.bundle_dir.iterdir():
        shutil.rmtree(path)


async def until_built(ground: Ground, *workers: Any) -> None:
    async def all_built() -> bool:
        shown = [one for one in ground.services.settings.bundle_dir.iterdir() if not one.name.startswith(".")]
        return len(shown) == len(ground.names)

    for _ in range(20):
        await asyncio.gather(*(build_pending(worker) for worker in workers))
        if await all_built():
            return
    raise AssertionError("not built")


async def test_two_workers_build_bytes_of_three_names_once(ground: Ground, builds: _Builds) -> None:
    await ground.deployed(3)
    unbuilt(ground)
    database = build_database(ground.services.settings)
    await until_built(ground, ground.services, replace(ground.services, database=database))
    await database.dispose()
    assert len(builds.of) == 1
    for name in ground.names:
        [bundle] = ground.services.settings.bundle_dir.glob(f"*-{name}-1")
        await ground.services.signer.verify(bundle)
        for file in ("bundle.json", "report.json"):
            told = json.loads((bundle / file).read_text())
            assert (told["model_name"], told["model_version"]) == (name, 1)
            others = set(ground.names) - {name}
            assert not any(other in (bundle / file).read_text() for other in others), "nobody learns of another one"
        assert [step["name"] for step in told["steps"]].count("environment") == 1
    await ground.reconciled(dict.fromkeys(ground.names, "live"))


async def test_what_a_run_logged_and_features_stay_with_their_version(ground: Ground, builds: _Builds) -> None:
    await ground.registered(2)
    unbuilt(ground)
    first, second = ground.names
    digest = tree_digest(ground.services.registry._artifacts(first, 1))  # type: ignore[attr-defined]
    one = await obtain(ground.services, first, 1, digest, ["customer:age"])
    assert one.bundle is not None
    (one.bundle / bundles.TRAINING_SAMPLE).write_text("of the first")
    (one.bundle / "statement-1.json").write_text("of the first")
    await ground.services.signer.sign(one.bundle)
    other = await obtain(ground.services, second, 1, digest, [])
    assert len(builds.of) == 1
    assert other.bundle is not None
    assert other.description()["feature_refs"] == []
    assert "of the first" not in "".join(path.read_text() for path in other.bundle.iterdir() if path.suffix == ".json")


@pytest.mark.parametrize("what", ["fresh", "changed", "another program"])
async def test_what_must_be_built_is_built(
    ground: Ground, builds: _Builds, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    await ground.registered(2)
    unbuilt(ground)
    first, second = ground.names
    digest = tree_digest(ground.services.registry._artifacts(first, 1))  # type: ignore[attr-defined]
    one = await obtain(ground.services, first, 1, digest, [])
    assert one.bundle is not None
    if what == "changed":
        (one.bundle / "model.onnx").write_bytes(b"another graph")
    if what == "another program":
        monkeypatch.setattr(same_bytes, "builder", lambda: "newer")
    built: Built = await obtain(ground.services, second, 1, digest, [], fresh=what == "fresh")
    assert built.bundle is not None
    assert builds.of == [first, second]


def test_the_lock_is_of_the_bytes() -> None:
    assert lock_name("sha256:1") != lock_name("sha256:2")
