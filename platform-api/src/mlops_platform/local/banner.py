"""What a person reads when the platform is up: where things are, and what to do next."""

from mlops_platform.local.home import Home
from mlops_platform.local.state import PlatformState


def banner(home: Home, state: PlatformState) -> str:
    """Return the banner as plain text."""
    at_home = "" if home == Home.at(None) else f" --home {home.folder}"
    url = state.urls.get("platform", "")
    mlflow = state.urls.get("mlflow", "")
    rows = [
        ("console", f"{url}/console"),
        ("API", f"{url}/api/docs"),
        ("predict", f"{url}/api/v1/predict  and  {url}/v2/models/NAME/infer"),
        ("MLflow", mlflow),
        *([("Prometheus", state.urls["prometheus"])] if "prometheus" in state.urls else []),
        ("home", str(home.folder)),
    ]
    took = f" after {state.seconds_to_ready:g} s" if state.seconds_to_ready else ""
    return "\n".join(
        [
            f"The platform is ready{took}." if state.phase == "ready" else f"The platform runs, but is {state.phase}.",
            *(f"  {name:<11} {value}" for name, value in rows),
            "Next:",
            f"  export MLOPS_TOKEN=$(mlops token you@company.com --role data-scientist{at_home})",
            f"  export MLFLOW_TRACKING_URI={mlflow}",
            "  python examples/1_register_and_deploy.py",
            f"  mlops status{at_home}   mlops down{at_home}",
        ]
    )
