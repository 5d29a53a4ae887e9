"""`make bench`: measure the hot paths, say which bars hold. `--only floor` is the short one (two minutes).

Exits with 1 when a bar is missed.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence

from benchmarks.load import machine
from benchmarks.rounds import Line

USUAL = (
    "floor",
    "doors",
    "ready_made",
    "workers",
    "features",
    "catalogue",
    "mlflow_door",
    "native",
    "explanations",
    "startup",
)
# predictions while backups run; a quarter of an hour in which everything is killed, and two hours of everyday load: only when they are asked for
NAMES = (*USUAL, "backup", "faults", "soak")


def main() -> int:
    """Run what was asked for and print one table each; return the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="shorter rounds: to see that it works, not to quote",
    )
    parser.add_argument("--only", choices=NAMES, action="append", help="may be given several times")
    options = parser.parse_args()
    print(machine())
    missed = []
    for name in options.only or USUAL:
        lines: list[Line] = importlib.import_module(f"benchmarks.{name}").run(quick=options.quick)
        print(f"\n{name}\n{table(lines)}", flush=True)
        missed += [line.what for line in lines if line.bar and not line.bar.met]
    print(f"\nmissed: {'; '.join(missed)}" if missed else "\nevery bar is met")
    return 1 if missed else 0


def table(lines: Sequence[Line]) -> str:
    """Return lines as text: medians, the ratio with its range over the rounds, and the bar when there is one."""
    heading = f"  {'':<58}{'ours':>12}{'beside':>12}{'ratio':>9}{'from':>9}{'to':>9}  bar"
    return "\n".join([heading, *map(_text, lines)])


def _text(line: Line) -> str:
    figures = f"{line.ours:>12,.2f}{line.beside:>12,.2f}{line.ratio:>9,.3f}{line.lowest:>9,.3f}{line.highest:>9,.3f}"
    bar = f"{line.bar.words} {'met' if line.bar.met else 'MISSED'}" if line.bar else "reported"
    return f"  {line.what:<58}{figures}  {bar}"


if __name__ == "__main__":
    sys.exit(main())
