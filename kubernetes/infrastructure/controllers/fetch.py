"""Fetch the pinned charts with `helm pull` into ./charts; refuse an archive that is not the one that was taken in.

`fetch.py` fetches all; `fetch.py --accept NAME` fetches one and writes its SHA-256 into charts.yaml. Exits 1 when an archive
differs or was never taken in, 2 when helm is missing or fails.
"""

import argparse
import hashlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent


def reference(chart: dict[str, str]) -> list[str]:
    """Return helm's words for a chart's place."""
    if chart["repository"].startswith("oci://"):
        return [f"{chart['repository']}/{chart['name']}"]
    return [chart["name"], "--repo", chart["repository"]]


def pull(chart: dict[str, str], target: Path) -> Path:
    """Fetch one chart and return its archive. Raises subprocess.CalledProcessError and OSError."""
    with tempfile.TemporaryDirectory(dir=target) as folder:
        command = ["helm", "pull", *reference(chart), "--version", chart["version"], "--destination", folder]
        subprocess.run(command, check=True, timeout=300)
        (archive,) = Path(folder).iterdir()
        return archive.replace(target / archive.name)


def accept(listing: Path, name: str, digest: str) -> None:
    """Write a digest into the line of its chart; everything else in the file stays as it is."""
    text, count = re.subn(
        rf'(name: {re.escape(name)}, .*sha256: )"[0-9a-f]*"', rf'\g<1>"{digest}"', listing.read_text()
    )
    if count != 1:
        raise SystemExit(f"{name} is not in {listing.name}")
    listing.write_text(text)


def main(arguments: list[str] | None = None, listing: Path = HERE / "charts.yaml") -> int:
    """Fetch; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accept", metavar="NAME", help="take this chart in as it is now")
    options = parser.parse_args(arguments)
    charts = yaml.safe_load(listing.read_text())["charts"]
    target = listing.parent / "charts"
    target.mkdir(exist_ok=True)
    wrong = 0
    for chart in charts:
        if options.accept not in (None, chart["name"]):
            continue
        try:
            archive = pull(chart, target)
        except (subprocess.CalledProcessError, OSError) as error:
            print(f"{chart['name']}: not fetched: {error}", file=sys.stderr)
            return 2
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        if options.accept:
            accept(listing, chart["name"], digest)
            print(f"{chart['name']} {chart['version']}: taken in as {digest}")
        elif digest == chart["sha256"]:
            print(f"{chart['name']} {chart['version']}: as taken in")
        else:
            archive.unlink()
            wrong += 1
            known = chart["sha256"] or "nothing yet; read the chart, then run fetch.py --accept " + chart["name"]
            print(f"{chart['name']} {chart['version']}: {digest}, but taken in was {known}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
