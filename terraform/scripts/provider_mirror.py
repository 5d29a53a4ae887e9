"""Where `terraform init` gets the AWS provider: a mirror on this machine if there is one, else the public registry.

No path is written down anywhere. An administrator who has set a CLI configuration decides; otherwise the folders in which
mirrors are usually kept are looked through for `registry.terraform.io/hashicorp/aws`.
"""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

PROVIDER = "registry.terraform.io/hashicorp/aws"
DEPTH = 3


def find_mirror(folders: list[Path] | None = None) -> Path | None:
    """The folder that holds `registry.terraform.io/hashicorp/aws/<version>`, or None."""
    for folder in usual_folders() if folders is None else folders:
        for candidate in _within(folder, DEPTH):
            if any(candidate.glob(f"{PROVIDER}/*/*/terraform-provider-aws*")):
                return candidate
    return None


def usual_folders() -> list[Path]:
    """Where administrators, packages and `terraform providers mirror` put mirrors."""
    program = shutil.which("terraform")
    beside = [Path(program).resolve().parent] if program else []
    return [
        *beside,
        Path.home() / ".terraform.d" / "plugins",
        Path.home() / ".local" / "share" / "terraform" / "plugins",
        Path("/usr/share/terraform"),
        Path("/usr/local/share/terraform"),
        Path("/opt"),
    ]


def environment(folder: Path, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment for terraform: one provider cache for all modules, the mirror if there is one; files go to `folder`."""
    variables = dict(os.environ if base is None else base)
    settings = [f'plugin_cache_dir = "{folder / "cache"}"', "disable_checkpoint = true"]
    (folder / "cache").mkdir(parents=True, exist_ok=True)
    given = variables.get("TF_CLI_CONFIG_FILE")
    mirror = None if given and Path(given).exists() else find_mirror()
    if given and Path(given).exists():
        settings.append(Path(given).read_text())
    elif mirror is not None:
        settings.append(
            f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n'
            f'  direct {{\n    exclude = ["{PROVIDER}"]\n  }}\n}}'
        )
    written = folder / "terraform.rc"
    written.write_text("\n".join(settings) + "\n")
    return {
        **variables,
        "TF_CLI_CONFIG_FILE": str(written),
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
        "CHECKPOINT_DISABLE": "1",
        # a lock file names the hashes of every platform; a mirror knows those of one
        "TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE": "1",
    }


def _within(folder: Path, depth: int) -> Iterator[Path]:
    """The folder and those below it, a few levels deep; what cannot be read is not looked into."""
    if not folder.is_dir():
        return
    yield folder
    if depth:
        try:
            below = sorted(child for child in folder.iterdir() if child.is_dir() and not child.is_symlink())
        except PermissionError:
            return
        for child in below:
            yield from _within(child, depth - 1)


if __name__ == "__main__":
    sys.stdout.write(f"{find_mirror() or 'none: the public registry is used'}\n")
