"""Plans of the real environments, made against an emulated AWS, and the trimmed copies the unit tests read.

`python -m tests.costs.plans` (in platform-api) writes the copies again after terraform/ has changed.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
FOLDER = Path(__file__).parent / "plans"
ENVIRONMENTS = ("dev", "staging", "production")
# what the rules read; everything else stays out of the repository
KEPT = frozenset(
    {
        "allocated_storage",
        "block_device_mappings",
        "bucket",
        "capacity_type",
        "desired_size",
        "disk_size",
        "engine",
        "instance_class",
        "instance_types",
        "manage_master_user_password",
        "monitoring",
        "multi_az",
        "name",
        "node_type",
        "num_cache_clusters",
        "num_node_groups",
        "point_in_time_recovery",
        "protocol",
        "replicas_per_node_group",
        "scaling_config",
        "service_name",
        "storage_type",
        "version",
        "vpc_endpoint_type",
    }
)


def provider_mirror() -> Path | None:
    """The folder that holds providers for machines without a registry; None where terraform finds its own."""
    for pattern in ("/opt/*", "/usr/local/share/terraform/*", "/usr/share/terraform/*"):
        for folder in sorted(Path("/").glob(pattern[1:])):
            if (folder / "registry.terraform.io" / "hashicorp" / "aws").is_dir():
                return folder
    return None


@contextmanager
def emulated_aws() -> Iterator[str]:
    """A server that answers as AWS."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    try:
        _, port = server.get_host_and_port()
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()


def make(environment: str, endpoint: str, folder: Path) -> dict[str, Any]:
    """Plan an environment from nothing and return what `terraform show -json` prints."""
    if not (folder / "terraform").exists():
        shutil.copytree(
            ROOT / "terraform", folder / "terraform", ignore=shutil.ignore_patterns(".terraform", "*.tfstate*")
        )
    root = folder / "terraform" / "environments" / environment
    (root / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
    settings = {
        **os.environ,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
        "TF_IN_AUTOMATION": "1",
    }
    if mirror := provider_mirror():
        config = folder / "terraform.rc"
        config.write_text(f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n')
        settings["TF_CLI_CONFIG_FILE"] = str(config)

    def terraform(*arguments: str) -> str:
        done = subprocess.run(
            ["terraform", *arguments], cwd=root, env=settings, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    terraform("init", "-input=false", "-no-color")
    terraform("plan", "-input=false", "-no-color", "-lock=false", "-out=plan")
    document: dict[str, Any] = json.loads(terraform("show", "-json", "plan"))
    return document


def trimmed(document: dict[str, Any]) -> dict[str, Any]:
    """The part of a plan that estimates read."""

    def module(entry: dict[str, Any]) -> dict[str, Any]:
        resources = [
            {
                "address": resource["address"],
                "type": resource["type"],
                "values": {name: value for name, value in resource.get("values", {}).items() if name in KEPT},
            }
            for resource in entry.get("resources", [])
            if resource["mode"] == "managed"
        ]
        return {"resources": resources, "child_modules": [module(child) for child in entry.get("child_modules", [])]}

    names = ("environment", "region", "availability_zones")
    return {
        "variables": {name: document["variables"][name] for name in names},
        "planned_values": {"root_module": module(document["planned_values"]["root_module"])},
        "resource_changes": [],
    }


def kept(environment: str) -> dict[str, Any]:
    """The trimmed copy of an environment's plan."""
    document: dict[str, Any] = json.loads((FOLDER / f"{environment}.json").read_text())
    return document


def main() -> None:
    """Write the trimmed copies."""
    FOLDER.mkdir(exist_ok=True)
    with emulated_aws() as endpoint, tempfile.TemporaryDirectory() as folder:
        for environment in ENVIRONMENTS:
            document = trimmed(make(environment, endpoint, Path(folder)))
            (FOLDER / f"{environment}.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
