"""A revision's configuration as the audit log holds it: its hash and its names, never a value. Pure."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from mlops_platform.kit.canonical import canonical_bytes


def configuration_hash(config: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the whole configuration, values of variables included: `sha256:<hex>`."""
    return f"sha256:{sha256(canonical_bytes(dict(config))).hexdigest()}"


def recorded_configuration(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an audit event says of a configuration: its hash, replicas and resources, and the variables' names."""
    return {
        "configuration": configuration_hash(config),
        "replicas": config["replicas"],
        "resources": config["resources"],
        "environment_variables": sorted(config["environment_vars"]),
    }
