"""Bundles on this machine's disk: what builds is where it is served, so publishing is nothing but saying where."""

from pathlib import Path

from mlops_platform.deployments.interfaces import BundleDamaged, BundleStore


class LocalBundles(BundleStore):
    """The address of a bundle is its folder."""

    def publish(self, folder: Path) -> str:
        return str(folder)

    def fetch(self, address: str) -> Path:
        folder = Path(address)
        if not (folder / "bundle.json").is_file():
            raise BundleDamaged(f"There is no bundle in {folder}; deploy the version again.")
        return folder

    def shared_folder(self, address: str) -> Path | None:
        return Path(address)
