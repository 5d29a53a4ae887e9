"""Write what terraform made where kustomize reads it: `python terraform/scripts/export_outputs.py dev` after `terraform apply`.

Runs `terraform output -raw kustomize_env` in terraform/environments/<environment> and writes kubernetes/environments/<environment>/terraform.env.
"""

import re
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def export(environment: str, repository: Path = REPOSITORY) -> Path:
    """The file written; refuses output that is not KEY=value lines rather than hand it to the manifests."""
    folder = repository / "terraform" / "environments" / environment
    done = subprocess.run(
        ["terraform", "output", "-no-color", "-raw", "kustomize_env"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"terraform output failed in {folder}; apply the environment first.\n{done.stderr}")
    lines = done.stdout.strip().splitlines()
    wrong = [line for line in lines if not re.fullmatch(r"[A-Z][A-Z0-9_]*=\S*", line)]
    if wrong or not lines:
        raise SystemExit(
            f"the output kustomize_env is not KEY=value lines; apply the environment first: {wrong or 'it is empty'}"
        )
    path = repository / "kubernetes" / "environments" / environment / "terraform.env"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(sorted(lines)) + "\n")
    return path


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: export_outputs.py dev|staging|production")
    print(export(sys.argv[1]))
