"""Settings that say how much one request, one tenant and one build may take."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Limits(BaseSettings):
    """Bounds, each with a default that suits a small installation."""

    model_config = SettingsConfigDict(env_prefix="MLOPS_", extra="ignore", frozen=True)

    max_head_bytes: int = Field(32_768, ge=8_192, description="Longest headers of a request; longer ones answer 431.")
    request_head_seconds: float = Field(20, ge=1, description="Longest time a request's headers may take to arrive.")
    request_body_seconds: float = Field(
        60,
        ge=1,
        description="Longest time a request's body may take to arrive; of an artifact that is uploaded, the longest pause.",
    )
    request_seconds: float = Field(60, ge=5, description="Longest time to the answer of a control-plane request.")
    tenant_requests_per_second: float | None = Field(
        None,
        gt=0,
        description="Predictions and feature reads that each tenant's callers may ask of one API server per second, all its processes "
        "together; more answer 429. Empty: no limit.",
    )
    tenant_requests_burst: int = Field(
        200, ge=1, description="How many of those may come at once after a pause, when there is a limit."
    )
    tenant_requests_in_flight: int = Field(
        200,
        ge=1,
        description="Requests of one tenant that may wait for a model process or the feature store in one API process; more answer 429.",
    )
    artifact_bytes_per_second: int | None = Field(
        None,
        ge=1_000_000,
        description="Bytes of artifacts that the door of MLflow passes per second, all uploads and downloads of one process together. "
        "`mlops up` sets 100 MB/s: predictions on the same machine go first. Empty: as fast as it goes.",
    )
    max_body_bytes: int = Field(5_000_000, ge=1_000, description="Largest request body; a larger one answers 413.")
    builds_at_once: int = Field(
        0,
        ge=0,
        le=64,
        description="Models that one worker builds beside each other; 0: one for every two processor cores of the machine. In a "
        "container, which has fewer, say how many.",
    )
    build_memory_bytes: int = Field(
        6_000_000_000, description="Address space a model may use while it is built and proven."
    )
    build_cpu_seconds: int = Field(120, ge=1, description="CPU time a model may use while it is built and proven.")
    build_timeout_seconds: int = Field(240, ge=1, description="Wall-clock limit of one build.")
