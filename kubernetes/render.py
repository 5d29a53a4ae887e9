"""Write the two files the deployment guide applies, from one environment's overlays: `make render` (dev by default)."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# what is written, and from which folder of overlays
RENDERED = {
    ROOT / "kubernetes" / "mlflow" / "mlflow-deployment.yaml": ROOT / "kubernetes" / "mlflow",
    ROOT / "platform-api" / "k8s" / "deployment.yaml": ROOT / "platform-api" / "k8s",
}


def build(overlay: Path) -> str:
    """Return the objects of an overlay. A kustomization that does not build ends the program with kubectl's words."""
    return subprocess.run(["kubectl", "kustomize", str(overlay)], check=True, text=True, stdout=subprocess.PIPE).stdout


def render(folder: Path, environment: str) -> str:
    """Return the whole rendered file."""
    source = (folder / "overlays" / environment).relative_to(ROOT)
    return f"# Written by `make render` from {source}; change the overlay or terraform.env and render again.\n" + build(
        folder / "overlays" / environment
    )


if __name__ == "__main__":
    for target, folder in RENDERED.items():
        target.write_text(render(folder, sys.argv[1]))
