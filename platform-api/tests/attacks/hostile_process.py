"""A process that runs one payload: `confined`, exactly as a process of a build or a model server is, or `free`.

Arguments: the payload's name, `confined` or `free`, and the world as JSON. Prints REACHED, or why not.
"""

import importlib.util
import json
import sys
from pathlib import Path

from model_server.sandbox.confine import Confinement, confine
from model_server.sandbox.limits import Limits

spec = importlib.util.spec_from_file_location("payloads", Path(__file__).with_name("payloads.py"))
assert spec is not None
assert spec.loader is not None
payloads = importlib.util.module_from_spec(spec)
spec.loader.exec_module(payloads)


def main() -> int:
    name, mode, world = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    if mode == "confined":
        limits = Limits(memory_bytes=2 << 30, file_bytes=16 << 20)
        confine(Confinement((Path(world["bundle"]),), Path(world["scratch"]), limits, private=True))
    try:
        got = payloads.PAYLOADS[name](world)
    except (OSError, KeyError) as error:
        sys.stdout.write(f"withstood: {type(error).__name__} {error}\n")
    else:
        sys.stdout.write("REACHED\n" if got else "withstood: nothing there\n")
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
