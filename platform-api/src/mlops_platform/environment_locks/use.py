"""Which bundles of this machine name which environments."""

import json
from collections import defaultdict
from pathlib import Path

from mlops_platform.environment_locks.interfaces import EnvironmentUnavailable
from model_server.libraries.found import named_in


def users(bundles: Path) -> dict[str, list[str]]:
    """Return the versions ("churn:3") whose bundles name each environment. Blocks.

    Raises EnvironmentUnavailable when a bundle cannot be read: what it names is not known, and must not be removed.
    """
    found = defaultdict(list)
    for path in sorted(bundles.glob("*/bundle.json")):
        try:
            name = named_in(path.parent)
            said = json.loads(path.read_text()) if name else {}
        except FileNotFoundError:
            # removed meanwhile
            continue
        except (OSError, ValueError) as error:
            raise EnvironmentUnavailable(f"The description of {path.parent.name} cannot be read.") from error
        if name is not None:
            found[name].append(f"{said.get('model_name')}:{said.get('model_version')}")
    return dict(found)
