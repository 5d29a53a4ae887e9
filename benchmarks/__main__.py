"""`make bench`: run the benchmarks and print ratios. `--quick` for short rounds, `--only NAME` for one of them."""

import argparse
import importlib

from benchmarks.load import machine

NAMES = ("serving", "features", "catalogue", "startup")


def main() -> None:
    """Run what was asked for and print one table each."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=NAMES, action="append")
    options = parser.parse_args()
    print(machine())
    for name in options.only or NAMES:
        print(f"\n{name}")
        rows = importlib.import_module(f"benchmarks.{name}").run(quick=options.quick)
        print(f"  {'':<58}{'ours':>12}{'peer':>12}{'ratio':>10}  bar")
        for row in rows:
            print(f"  {row['what']:<58}{row['ours']:>12,.2f}{row['peer']:>12,.2f}{row['ratio']:>10,.3f}  {row['bar']}")


if __name__ == "__main__":
    main()
