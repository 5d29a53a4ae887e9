"""`make terraform-check`: format, validity of every root, and checkov over all sources. Says so when terraform is absent."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from provider_mirror import environment

TERRAFORM = Path(__file__).parents[1]
ROOTS = ("bootstrap", "environments/dev", "environments/staging", "environments/production")


def main(checkov: Path) -> int:
    if shutil.which("terraform") is None:
        print("terraform-check was not run: terraform is not on the PATH")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        variables = {**environment(Path(folder)), "TF_DATA_DIR": ""}
        if _run(["fmt", "-check", "-recursive", "-diff"], TERRAFORM, variables):
            return 1
        for number, root in enumerate(ROOTS):
            variables["TF_DATA_DIR"] = str(Path(folder) / f"data{number}")
            for arguments in (["init", "-backend=false", "-no-color"], ["validate", "-no-color"]):
                if _run(arguments, TERRAFORM / root, variables):
                    return 1
    if not checkov.exists():
        print("checkov was not run: `make tools` installs it")
        return 0
    return subprocess.run(
        [str(checkov), "-d", str(TERRAFORM), "--framework", "terraform", "--compact", "--quiet", "--skip-download"],
        check=False,
    ).returncode


def _run(arguments: list[str], folder: Path, variables: dict[str, str]) -> int:
    done = subprocess.run(
        ["terraform", *arguments], cwd=folder, env=variables, capture_output=True, text=True, check=False
    )
    if done.returncode:
        print(f"terraform {' '.join(arguments)} in {folder.relative_to(TERRAFORM.parent)}:\n{done.stdout}{done.stderr}")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
