"""The feature project of a home: an empty one when nobody made one."""

from pathlib import Path

# the demo marks the lines meant for people; what Feast prints stays in its log
MARK = "step: "
# told by `mlops status`; the banner then names no example, since their model is trained on the demo's features
NO_DEMO = "started with --no-demo: examples 1 to 3 need the demo's features"
NAME = "feature_store.yaml"

EMPTY = """project: features
provider: local
registry:
  registry_type: file
  path: data/registry.db
  cache_ttl_seconds: 0
online_store:
  type: sqlite
  path: data/online.db
offline_store:
  type: file
entity_key_serialization_version: 3
"""


def ensure(folder: Path) -> None:
    """Write an empty Feast project unless there is one; `feast apply` in it adds definitions."""
    file = folder / NAME
    if file.exists():
        return
    (folder / "data").mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(".new")
    fresh.write_text(EMPTY)
    fresh.replace(file)
