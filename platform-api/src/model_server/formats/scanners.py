"""What other scanners say of an artifact: modelscan and picklescan, each with rules of its own. They refuse, never allow."""

from pathlib import Path

from model_server.formats.allowed import PICKLES
from model_server.formats.pickle_policy import is_allowed

_LOOKED_INTO = PICKLES | {".npy", ".npz", ".skops"}


def others_say(root: Path, files: list[Path]) -> list[str]:
    """Return what scanners report as dangerous, one line each; empty is good. Of declared code they have much to say."""
    return [*_modelscan(root), *_picklescan(root, files)]


def _modelscan(root: Path) -> list[str]:
    from modelscan.modelscan import ModelScan

    found = ModelScan().scan(root)
    return [
        f"{issue.get('operator', '?')} from {issue.get('module', '?')} ({issue.get('severity', '?')})"
        for issue in found.get("issues", [])
        if str(issue.get("severity", "")).upper() in {"HIGH", "CRITICAL"}
    ]


def _picklescan(root: Path, files: list[Path]) -> list[str]:
    """What it calls dangerous, and what it does not know and our own list does not either."""
    from picklescan.scanner import SafetyLevel, scan_file_path

    said = []
    for path in files:
        if path.suffix.lower() not in _LOOKED_INTO:
            continue
        for found in scan_file_path(str(path)).globals:
            if found.safety == SafetyLevel.Innocuous or is_allowed(found.module, found.name):
                continue
            said.append(f"{found.module}.{found.name} in {path.relative_to(root).as_posix()} ({found.safety.value})")
    return said
