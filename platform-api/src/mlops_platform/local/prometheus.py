"""Prometheus for the embedded platform, when its program is on the PATH. No package of ours carries it."""

import shutil
from pathlib import Path

import yaml

from mlops_platform.identity.scrape_token import scrape_token
from mlops_platform.local.home import Home
from mlops_platform.local.process import ProcessSpec
from mlops_platform.local.readiness import answers, says_anything

HOW_TO_GET_IT = (
    "Prometheus is not on the PATH: metrics are at /metrics but nothing stores them "
    "(Debian/Ubuntu: apt-get install prometheus; macOS: brew install prometheus; then `mlops down && mlops up`)"
)

# the job that asks the platform itself
PLATFORM = "platform-api"
# monitoring/prometheus of the checkout
_SHIPPED = Path(__file__).parents[4] / "monitoring" / "prometheus"


def program() -> str | None:
    """Return the program's path, None when it is not installed."""
    return shutil.which("prometheus")


def rule_files() -> list[str]:
    """Return the rules and alerts of the cluster's Prometheus, when this runs from a checkout; else none.

    On one machine the alerts have no receiver: they are to be seen at <prometheus>/alerts and on the dashboards.
    """
    return [str(path) for folder in ("rules", "alerts") for path in sorted((_SHIPPED / folder).glob("*.yaml"))]


def configuration(targets: dict[str, str], scrape_token: Path) -> str:
    """Return prometheus.yml scraping each `host:port` every five seconds, so that a rate is there within seconds.

    The platform is asked with the scrape token, which Prometheus reads from its file each time.
    """
    credentials = {PLATFORM: {"authorization": {"credentials_file": str(scrape_token)}}}
    return yaml.safe_dump(
        {
            "global": {"scrape_interval": "5s", "evaluation_interval": "5s"},
            "rule_files": rule_files(),
            "scrape_configs": [
                {
                    "job_name": job,
                    "metrics_path": "/metrics",
                    **credentials.get(job, {}),
                    "static_configs": [{"targets": [target]}],
                }
                for job, target in targets.items()
            ],
        },
        sort_keys=False,
    )


def prometheus(home: Home, path: str, host: str, port: int, targets: dict[str, str]) -> ProcessSpec:
    """Return the server; a week of data is kept in <home>/prometheus."""
    folder = home.folder / "prometheus"
    folder.mkdir(exist_ok=True, mode=0o700)
    config: Path = folder / "prometheus.yml"
    # it must be there before the first scrape, whoever starts first
    scrape_token(home.scrape_token_file)
    config.write_text(configuration(targets, home.scrape_token_file))
    url = f"http://{host}:{port}"
    return ProcessSpec(
        name="prometheus",
        argv=[
            path,
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            "--storage.tsdb.retention.time=7d",
            f"--web.listen-address={host}:{port}",
            "--log.level=warn",
        ],
        ready=answers(f"{url}/-/ready"),
        alive=says_anything(f"{url}/-/healthy"),
        probe_seconds=2.0,
        stage=0,
        url=url,
        cwd=folder,
    )
