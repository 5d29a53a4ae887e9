"""Bundles on this machine's disk: what builds is where it is served, so publishing is nothing but saying its name.

No address holds the place of the folder: a home that was moved, copied or restored elsewhere finds its bundles.
"""

import os
from pathlib import Path, PurePath

from mlops_platform.builds.interfaces import BundleDamaged, BundleStore, BundleUnavailable


def folder_of(root: Path, address: str) -> Path:
    """Return where the bundle of an address lies below `root`, whether there is one or not. Raises BundleDamaged.

    Earlier versions kept whole paths: of one only its last part counts, wherever the home was then.
    """
    name = PurePath(address).name
    if name in {"", ".", ".."}:
        raise BundleDamaged("The address of the bundle names no folder; deploy the version again.")
    return root / name


class LocalBundles(BundleStore):
    """The address of a bundle is the name of its folder below `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def publish(self, folder: Path) -> str:
        if folder.absolute().parent != self._root:
            raise ValueError(f"{folder} is not in the folder of bundles, {self._root}")
        return folder.name

    def fetch(self, address: str) -> Path:
        folder = folder_of(self._root, address)
        if not (folder / "bundle.json").is_file():
            raise BundleDamaged(f"There is no bundle in {folder}; the worker builds it again from its version.")
        return folder

    def keep_beside(self, address: str, name: str, content: bytes) -> None:
        path = folder_of(self._root, address) / name
        fresh = path.with_name(f".{name}.{os.getpid()}")
        try:
            fresh.write_bytes(content)
            fresh.replace(path)
        except OSError as error:
            raise BundleUnavailable(
                "The folder of bundles cannot be written; check the disk.", retry_after=5
            ) from error

    def beside(self, address: str, name: str) -> bytes | None:
        try:
            return (folder_of(self._root, address) / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BundleUnavailable("The folder of bundles cannot be read; check the disk.", retry_after=5) from error
