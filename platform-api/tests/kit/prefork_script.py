"""`python prefork_script.py HEARTBEAT WHAT`: two children that beat, or fail, for tests that kill them."""

import os
import sys
import time
from functools import partial
from pathlib import Path

from mlops_platform.kit import heartbeat
from mlops_platform.kit.prefork import Beat, Limits, Prefork


def serve(beat: Beat) -> None:
    if sys.argv[2] == "fails":
        raise RuntimeError("no such model")
    if sys.argv[2] == "silent":
        time.sleep(600)
    sys.stderr.write(f"child {os.getpid()}\n")
    while True:
        beat()
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(Prefork(serve, 2, partial(heartbeat.beat, Path(sys.argv[1])), Limits(start=2, silence=1, stop=2)).run())
