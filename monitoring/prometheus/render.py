"""Write prometheus-config.yaml, the file the deployment guide applies, from its sources: `make render-monitoring`.

Sources: prometheus.yml, alertmanager.yml, rules/, alerts/, objects/. A test compares the file with what this writes.
"""

from pathlib import Path

import yaml

FOLDER = Path(__file__).parent
RENDERED = FOLDER / "prometheus-config.yaml"
# the namespace comes first; what the pods mount comes before them
_OBJECTS = ("prometheus.yaml", "alertmanager.yaml", "network.yaml")
_HEADER = """\
# Prometheus and Alertmanager with their configuration, rules and alerts: kubectl apply -f prometheus/prometheus-config.yaml
# Written by `make render-monitoring` from prometheus.yml, alertmanager.yml, rules/, alerts/ and objects/: change those.
"""


class _Block(str):
    """A text that is shown as it is, line by line."""

    __slots__ = ()


def _represent(dumper: yaml.SafeDumper, text: _Block) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|")


yaml.SafeDumper.add_representer(_Block, _represent)


def config_map(
    name: str, files: dict[str, str], namespace: str = "monitoring", labels: dict[str, str] | None = None
) -> str:
    """Return a ConfigMap of text files as YAML, each file readable as a block."""
    content = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/part-of": "mlops-platform", **(labels or {})},
        },
        "data": {file: _Block(text) for file, text in files.items()},
    }
    return yaml.safe_dump(content, sort_keys=False, width=10_000, allow_unicode=True)


def rendered() -> str:
    """Return the whole file."""
    rules = {
        f"{kind}-{path.name}": path.read_text()
        for kind, folder in (("recording", "rules"), ("alerts", "alerts"))
        for path in sorted((FOLDER / folder).glob("*.yaml"))
    }
    maps = [
        config_map("prometheus-config", {"prometheus.yml": (FOLDER / "prometheus.yml").read_text()}),
        config_map("prometheus-rules", rules),
        config_map("alertmanager-config", {"alertmanager.yml": (FOLDER / "alertmanager.yml").read_text()}),
    ]
    first, *others = [(FOLDER / "objects" / name).read_text() for name in _OBJECTS]
    namespace, rest = first.split("\n---\n", 1)
    return _HEADER + "---\n" + "---\n".join([namespace + "\n", *maps, rest, *others])


if __name__ == "__main__":
    RENDERED.write_text(rendered())
