"""Small wheels, and an index of packages in a folder, for tests that install without leaving this machine."""

import base64
import contextlib
import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

from model_server.libraries.found import NAME, find
from model_server.refusals import Refused


def wheel(folder: Path, name: str, version: str, files: Mapping[str, str], needs: tuple[str, ...] = ()) -> Path:
    """Write a wheel of these files (paths below site-packages, or NAME-VERSION.data/…)."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nLicense: MIT\n"
    metadata += "".join(f"Requires-Dist: {need}\n" for need in needs)
    content = {
        **files,
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = []
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for place, text in content.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            lines.append(f"{place},sha256={digest},{len(text.encode())}\n")
            archive.writestr(place, text)
        archive.writestr(f"{info}/RECORD", "".join([*lines, f"{info}/RECORD,,\n"]))
    return path


def index(folder: Path, wheels: Path) -> str:
    """Write the simple index of the wheels and return its address."""
    for path in wheels.glob("*.whl"):
        place = folder / path.name.split("-")[0].replace("_", "-").lower()
        place.mkdir(parents=True, exist_ok=True)
        page = place / "index.html"
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        line = f'<a href="{path.as_uri()}#sha256={digest}">{path.name}</a><br>\n'
        page.write_text((page.read_text() if page.exists() else "") + line)
    return folder.as_uri()


def installed(root: Path) -> list[str]:
    """Return the names of the environments below `root` that are whole."""
    found = []
    for path in sorted(root.glob("*")):
        if NAME.fullmatch(path.name):
            with contextlib.suppress(Refused):
                found.append(find(root, path.name).name)
    return found
