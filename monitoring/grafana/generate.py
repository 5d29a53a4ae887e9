"""Write json/*.json (for people and provisioning) and dashboards/*.yaml (ConfigMaps for kubectl): `make dashboards`.

`kubectl apply -f grafana/dashboards/` reads JSON files too, so the JSON lies beside that folder and not in it.
"""

import sys
from pathlib import Path

FOLDER = Path(__file__).parent
# `python monitoring/grafana/generate.py` and a test that loads this file by its path find the same neighbours
sys.path[:0] = [str(FOLDER), str(FOLDER.parent / "prometheus")]

from boards import BOARDS  # noqa: E402
from grafana_foundation_sdk.cog.encoder import JSONEncoder  # noqa: E402
from panels import build  # noqa: E402
from render import config_map  # noqa: E402


def files() -> dict[Path, str]:
    """Return every written file's content by path."""
    found = {}
    for board in BOARDS:
        text = JSONEncoder(sort_keys=True, indent=1).encode(build(board)) + "\n"
        found[FOLDER / "json" / f"{board.uid}.json"] = text
        header = "# Written by `make dashboards` from monitoring/grafana/boards: change those.\n"
        labels = {"grafana_dashboard": "1", "app.kubernetes.io/name": "grafana"}
        found[FOLDER / "dashboards" / f"{board.uid}.yaml"] = header + config_map(
            f"dashboard-{board.uid}", {f"{board.uid}.json": text}, labels=labels
        )
    return found


if __name__ == "__main__":
    for path, content in files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
