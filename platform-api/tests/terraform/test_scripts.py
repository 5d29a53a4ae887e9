"""The programs of terraform/scripts: outputs for kustomize, and where the provider comes from."""

import subprocess
from pathlib import Path

import pytest

from .workspace import ENVIRONMENTS, SOURCES, script

KEYS = {
    "CLUSTER_NAME",
    "AWS_REGION",
    "AWS_ACCOUNT_ID",
    "RDS_ENDPOINT",
    "RDS_SECRET_ARN",
    "ARTIFACTS_BUCKET",
    "DATA_LAKE_BUCKET",
    "PREDICTION_LOG_BUCKET",
    "AUDIT_BUCKET",
    "AUDIT_TABLE",
    "BACKUPS_BUCKET",
    "BACKUPS_KEY_ARN",
    "SCRATCH_BUCKET",
    "RDS_INSTANCE",
    "REDIS_ENDPOINT",
    "REDIS_USER",
    "REDIS_GROUP",
    "ECR_REGISTRY",
    "ECR_API_URL",
    "ECR_WORKER_URL",
    "ECR_MODEL_SERVER_URL",
    "ECR_MLFLOW_URL",
    "DOMAIN",
    "CERTIFICATE_ARN",
}


def applied(repository: Path, value: str) -> None:
    """An environment with nothing but the output."""
    folder = repository / "terraform" / "environments" / "dev"
    folder.mkdir(parents=True)
    (folder / "main.tf").write_text(f'output "kustomize_env" {{\n  value = "{value}"\n}}\n')
    subprocess.run(["terraform", "apply", "-auto-approve", "-no-color"], cwd=folder, check=True, capture_output=True)


@pytest.mark.external("terraform")
def test_outputs_are_written_beside_the_manifests(tmp_path: Path) -> None:
    applied(tmp_path, "DOMAIN=\\nCLUSTER_NAME=mlops-platform-dev")
    path = script("export_outputs").export("dev", tmp_path)
    assert path == tmp_path / "kubernetes" / "environments" / "dev" / "terraform.env"
    assert path.read_text() == "CLUSTER_NAME=mlops-platform-dev\nDOMAIN=\n"


@pytest.mark.external("terraform")
def test_what_is_no_setting_is_not_handed_to_the_manifests(tmp_path: Path) -> None:
    applied(tmp_path, "CLUSTER_NAME=two words")
    with pytest.raises(SystemExit, match="not KEY=value lines"):
        script("export_outputs").export("dev", tmp_path)


@pytest.mark.external("terraform")
def test_an_environment_that_does_not_exist_yet_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "terraform" / "environments" / "dev").mkdir(parents=True)
    with pytest.raises(SystemExit, match="apply the environment first"):
        script("export_outputs").export("dev", tmp_path)


def test_every_key_the_manifests_name_is_an_output() -> None:
    text = (SOURCES / "environments" / ENVIRONMENTS[0] / "outputs.tf").read_text()
    assert not [key for key in KEYS if f"      {key} " not in text]


def test_a_mirror_is_found_a_few_folders_deep(tmp_path: Path) -> None:
    mirror = tmp_path / "vendor" / "plugins"
    folder = mirror / "registry.terraform.io" / "hashicorp" / "aws" / "5.100.0" / "linux_amd64"
    folder.mkdir(parents=True)
    (folder / "terraform-provider-aws_v5.100.0_x5").touch()
    assert script("provider_mirror").find_mirror([tmp_path / "absent", tmp_path]) == mirror


def test_without_a_mirror_the_public_registry_is_used(tmp_path: Path) -> None:
    assert script("provider_mirror").find_mirror([tmp_path]) is None


def test_an_administrators_own_configuration_decides(tmp_path: Path) -> None:
    own = tmp_path / "own.rc"
    own.write_text('provider_installation {\n  network_mirror {\n    url = "https://mirror.example.com/"\n  }\n}\n')
    variables = script("provider_mirror").environment(tmp_path / "work", {"TF_CLI_CONFIG_FILE": str(own)})
    written = Path(variables["TF_CLI_CONFIG_FILE"]).read_text()
    assert "mirror.example.com" in written
    assert "filesystem_mirror" not in written
