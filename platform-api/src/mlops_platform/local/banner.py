"""What a person reads when the platform is up: where things are, and what to type next.

Every command is printed as it works in a fresh shell: nothing is expected on the PATH, and MLOPS_HOME is exported
unless the folder one types in leads to the home by itself.
"""

import os
import shlex
import sys
from pathlib import Path

from mlops_platform.local.feature_project import NO_DEMO
from mlops_platform.local.home import Home
from mlops_platform.local.state import PlatformState

# of an installation from a checkout; an installed package has no examples beside it
_CHECKOUT = Path(__file__).parents[4]


def banner(home: Home, state: PlatformState) -> str:
    """Return the banner as plain text."""
    url = state.urls.get("platform", "")
    rows = [
        ("console", f"{url}/console"),
        ("API", f"{url}/api/docs"),
        ("predict", f"{url}/api/v1/predict  and  {url}/v2/models/NAME/infer"),
        ("MLflow", state.urls.get("mlflow", "")),
        *([("Prometheus", state.urls["prometheus"])] if "prometheus" in state.urls else []),
        ("home", str(home.folder)),
    ]
    took = f" after {state.seconds_to_ready:g} s" if state.seconds_to_ready else ""
    here = Path.cwd()
    inside = here.is_relative_to(_CHECKOUT)
    return "\n".join(
        [
            f"The platform is ready{took}." if state.phase == "ready" else f"The platform runs, but is {state.phase}.",
            *(f"  {name:<11} {value}" for name, value in rows),
            f"Next, in a terminal in {here}:" if inside else "Next, in any terminal:",
            *(f"  {line}" for line in next_commands(home, state, here)),
        ]
    )


def next_commands(home: Home, state: PlatformState, here: Path) -> list[str]:
    """Return the commands to type next in `here`: bash lines that need no other setting than those they export."""
    home_shown = shlex.quote(str(home.folder))
    found_from_here = here.is_relative_to(_CHECKOUT) and home.folder == here / ".mlops"
    mlops = _shown(Path(sys.executable).with_name("mlops"), here)
    example = _CHECKOUT / "examples" / "1_register_and_deploy.py"
    has_example = example.exists() and NO_DEMO not in state.notes
    # these two are typed days later, in a terminal that has no exports
    at_home = "" if found_from_here else f" --home {home_shown}"
    return [
        *([] if found_from_here else [f"export MLOPS_HOME={home_shown}"]),
        f"export MLOPS_TOKEN=$({mlops} token you@company.com --role data-scientist)",
        f"export MLFLOW_TRACKING_URI={state.urls.get('mlflow', '')}",
        *([f"{_shown(Path(sys.executable), here)} {_shown(example, here)}"] if has_example else []),
        f"{mlops} status{at_home}",
        f"{mlops} down{at_home}",
    ]


def _shown(program: Path, here: Path) -> str:
    """Return a path as it is typed in `here`: relative when both are in the checkout."""
    inside = here.is_relative_to(_CHECKOUT) and program.is_relative_to(_CHECKOUT)
    return shlex.quote(os.path.relpath(program, here) if inside else str(program))
