"""What is shipped starts: every part is built from the rendered settings and the Secret's own files, nothing else."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mlops_platform import bootstrap, mlflow_front
from mlops_platform.audit.service import audit_log
from mlops_platform.bootstrap import FrontServices
from mlops_platform.bootstrap_backups import build_cluster_state
from mlops_platform.settings import Settings

from .manifests import ENVIRONMENTS, Manifest, containers, name, objects, of, templates

pytestmark = pytest.mark.external("kubectl")
HOME = "/var/lib/mlops"


@dataclass(frozen=True)
class Process:
    """A container of the platform that runs for ever, and the volumes of its pod."""

    label: str
    container: Manifest
    volumes: dict[str, Manifest]


def _processes(found: list[Manifest]) -> list[Process]:
    return [
        Process(
            f"{name(workload)} {container['name']}", container, {one["name"]: one for one in pod["spec"]["volumes"]}
        )
        for workload, pod in templates(of(found, "StatefulSet", "Deployment"))
        for container in containers(pod)
    ]


def _secret_files(found: list[Manifest]) -> dict[str, list[str]]:
    """The files of each Secret that External Secrets makes: these and no others are in a pod's folder."""
    return {
        one["spec"]["target"]["name"]: [entry["secretKey"] for entry in one["spec"]["data"]]
        for one in of(found, "ExternalSecret")
    }


def _stored(file: str) -> str:
    """What Terraform and the deployment guide put into Secrets Manager for a file."""
    if file.endswith(".pem"):
        return (
            Ed25519PrivateKey.generate()
            .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            .decode()
        )
    return "k" * 64


def _mount(process: Process, found: list[Manifest], folder: Path) -> dict[str, Path]:
    """Make the container's folders below `folder`; return where each mount path lies. What lies in no volume is absent."""
    maps = {one["metadata"]["name"]: one["data"] for one in of(found, "ConfigMap")}
    secrets = _secret_files(found)
    mounted = {HOME: folder / "home"}
    for mount in process.container["volumeMounts"]:
        volume = process.volumes[mount["name"]]
        if "secret" in volume:
            content = {file: _stored(file) for file in secrets[volume["secret"]["secretName"]]}
        elif "configMap" in volume:
            content = maps[volume["configMap"]["name"]]
        else:
            continue
        place = mounted[mount["mountPath"]] = folder / mount["name"]
        place.mkdir(parents=True)
        for file, text in content.items():
            (place / file).write_text(text)
        # root writes all the same, so the test looks at what is there afterwards too
        place.chmod(0o555)
    return mounted


def _environment(process: Process, found: list[Manifest], mounted: dict[str, Path]) -> dict[str, str]:
    """The container's variables, with paths of mounts replaced by where they lie here."""
    maps = {one["metadata"]["name"]: one["data"] for one in of(found, "ConfigMap")}
    given = {
        key: value for one in process.container["envFrom"] for key, value in maps[one["configMapRef"]["name"]].items()
    }
    given |= {one["name"]: one.get("value", "from-a-secret") for one in process.container["env"]}
    # metrics of several processes are a matter of how the test itself was started
    given.pop("PROMETHEUS_MULTIPROC_DIR", None)
    for there, here in mounted.items():
        given = {
            key: f"{here}{value.removeprefix(there)}" if value == there or value.startswith(f"{there}/") else value
            for key, value in given.items()
        }
    return given | {"MLOPS_DATABASE_URL": "postgresql+psycopg://user:password@127.0.0.1:9/mlops"}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
async def test_every_platform_process_starts_on_its_settings_and_the_secrets_files(
    environment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = objects("platform", environment)
    processes = _processes(found)
    assert len(processes) == 6
    for number, process in enumerate(processes):
        mounted = _mount(process, found, tmp_path / str(number))
        readable = [place for path, place in mounted.items() if path != HOME]
        before = {file: file.read_bytes() for place in readable for file in place.iterdir()}
        with monkeypatch.context() as pod:
            for key, value in _environment(process, found, mounted).items():
                pod.setenv(key, value)
            door = "mlflow-door" in process.label
            services = bootstrap.build_front(Settings()) if door else bootstrap.build(Settings())
            if isinstance(services, FrontServices):
                mlflow_front.compose(services)
        async with services.database.read_session() as session:
            keys = audit_log(session)
        await services.database.dispose()
        assert keys.pseudonym("ana@company.com") != keys.pseudonym("max@company.com")
        after = {file: file.read_bytes() for place in readable for file in place.iterdir()}
        assert after == before, f"{process.label} writes into a folder that is read-only in its pod"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_backups_know_the_instance_the_key_and_every_place_from_their_settings(
    environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = objects("platform", environment)
    maps = {one["metadata"]["name"]: one["data"] for one in of(found, "ConfigMap")}
    jobs = {one["metadata"]["name"]: pod for one, pod in templates(of(found, "CronJob"))}
    assert set(jobs) == {"platform-backup", "platform-restore-test"}
    for pod in jobs.values():
        (container,) = containers(pod)
        assert container["command"][:3] == ["python", "-m", "mlops_platform.cli.main"]
        with monkeypatch.context() as inside:
            for reference in container["envFrom"]:
                for key, value in maps[reference["configMapRef"]["name"]].items():
                    inside.setenv(key, value)
            settings = Settings()
        name_of = f"mlops-platform-{environment}"
        state = build_cluster_state(settings)
        assert state is not None
        assert state.database.name == name_of
        assert state.sources == {
            "mlflow": f"s3://{name_of}-artifacts-123456789012/mlflow",
            "bundles": f"s3://{name_of}-artifacts-123456789012/bundles",
            "bundles-beside": f"s3://{name_of}-artifacts-123456789012/bundles-beside",
            "features": f"s3://{name_of}-data-lake-123456789012/features",
            "registry": f"s3://{name_of}-data-lake-123456789012/registry",
            "predictions": f"s3://{name_of}-prediction-log-123456789012/predictions",
        }
        assert settings.backup_uri == f"s3://{name_of}-backups-123456789012/platform"
        assert settings.backup_scratch_uri == f"s3://{name_of}-restore-scratch-123456789012/restore-test"
