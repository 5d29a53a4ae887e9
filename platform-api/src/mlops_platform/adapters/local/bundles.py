"""Bundles on this machine's disk: what builds is where it is served, so publishing is nothing but saying where."""

import os
from pathlib import Path

from mlops_platform.builds.interfaces import BundleDamaged, BundleStore, BundleUnavailable


class LocalBundles(BundleStore):
    """The address of a bundle is its folder."""

    def publish(self, folder: Path) -> str:
        return str(folder)

    def fetch(self, address: str) -> Path:
        folder = Path(address)
        if not (folder / "bundle.json").is_file():
            raise BundleDamaged(f"There is no bundle in {folder}; deploy the version again.")
        return folder

    def keep_beside(self, address: str, name: str, content: bytes) -> None:
        path = Path(address) / name
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
            return (Path(address) / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BundleUnavailable("The folder of bundles cannot be read; check the disk.", retry_after=5) from error
