"""The configuration a revision runs with, as one digest: it is part of what people agree to."""

import hashlib
from typing import Any

from mlops_platform.kit.canonical import canonical_bytes


def config_digest(config: dict[str, Any]) -> str:
    """Return `sha256:<hex>` of the canonical JSON of replicas, resources and environment variables."""
    return f"sha256:{hashlib.sha256(canonical_bytes(config)).hexdigest()}"
