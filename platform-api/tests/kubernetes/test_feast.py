"""The feature store's configuration, as the pods read it."""

import os
from pathlib import Path

import pytest
from feast.repo_config import load_repo_config

from mlops_platform.adapters.feast.elasticache import ElastiCacheOnlineStoreConfig

from .manifests import ENVIRONMENTS, containers, objects, of, templates


@pytest.mark.external("kubectl")
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_feast_reads_in_every_pod_where_to_sign_in_and_as_whom(
    environment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = objects("platform", environment)
    maps = {one["metadata"]["name"]: one["data"] for one in of(found, "ConfigMap")}
    group = f"mlops-platform-{environment}"
    file = tmp_path / "feature_store.yaml"
    file.write_text(maps["platform-feast"]["feature_store.yaml"])
    mounting = [
        container
        for _, pod in templates(found)
        for container in containers(pod)
        if any(volume["name"] == "feast" for volume in container.get("volumeMounts", []))
    ]
    assert len(mounting) == 5
    for container in mounting:
        with monkeypatch.context() as pod:
            for name in os.environ:
                pod.delenv(name)
            for source in container["envFrom"]:
                for name, value in maps[source["configMapRef"]["name"]].items():
                    pod.setenv(name, value)
            for variable in container["env"]:
                pod.setenv(variable["name"], variable.get("value", "from a secret"))
            config = load_repo_config(tmp_path, file)
        assert config.registry.path == f"s3://{group}-data-lake-123456789012/registry/registry.db"
        assert config.online_store == ElastiCacheOnlineStoreConfig(
            type="mlops_platform.adapters.feast.elasticache.ElastiCacheOnlineStore",
            connection_string=f"master.{group}.example.use1.cache.amazonaws.com:6379",
            user=f"{group}-features",
            replication_group=group,
            region="us-east-1",
        )
