"""What the manifests read, Terraform and the release write."""

import re

import pytest

from .manifests import ENVIRONMENTS, ROOT


def _names(file: str) -> set[str]:
    return set(re.findall(r"^([A-Z_]+)=", (ROOT / file).read_text(), flags=re.MULTILINE))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_value_of_an_environment_is_an_output_of_terraform(environment: str) -> None:
    outputs = (ROOT / f"terraform/environments/{environment}/outputs.tf").read_text()
    written = set(re.findall(r"^ +([A-Z_]+) += ", outputs, flags=re.MULTILINE))
    assert written
    read = _names(f"kubernetes/environments/{environment}/terraform.env")
    # roles are written by their workloads' names; test_apply looks at them
    missing = {name for name in read - written if not name.startswith("ROLE_ARN_")}
    assert not missing


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_value_a_replacement_reads_is_there(environment: str) -> None:
    there = _names(f"kubernetes/environments/{environment}/terraform.env") | _names(
        f"kubernetes/environments/{environment}/release.env"
    )
    read = {
        name
        for folder in ("kubernetes", "platform-api/k8s")
        for path in (ROOT / folder).rglob("kustomization.yaml")
        for name in re.findall(r"name: (?:terraform|release), fieldPath: data\.([A-Z_]+)", path.read_text())
    }
    assert len(read) > 10, "found no replacements: this proves nothing"
    assert read <= there
