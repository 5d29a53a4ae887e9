"""What `mlops up` was asked for."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Patience:
    """How long a process may take to start, and how long it may stand still."""

    start_seconds: float = 600
    hung_seconds: float = 20


@dataclass(frozen=True)
class Options:
    """The choices of one start; a supervisor gets them as JSON, so they hold no secret."""

    home: Path
    host: str = "127.0.0.1"
    port: int = 8000
    mlflow_port: int = 5000
    prometheus_port: int = 9090
    workers: int = 2
    demo: bool = True
    start_seconds: float = 600
    hung_seconds: float = 20
    model_idle_seconds: float = 120

    @property
    def url(self) -> str:
        """The platform's URL."""
        return f"http://{self.host}:{self.port}"

    @property
    def mlflow_url(self) -> str:
        """The tracking server's URL."""
        return f"http://{self.host}:{self.mlflow_port}"

    @property
    def prometheus_url(self) -> str:
        """The Prometheus server's URL."""
        return f"http://{self.host}:{self.prometheus_port}"
