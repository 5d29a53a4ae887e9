"""Settings that make sense together or not at all. Pure."""

import re
from typing import Protocol


class ClusterSettings(Protocol):
    """What serving on a cluster needs to know."""

    @property
    def serving(self) -> str: ...
    @property
    def signals(self) -> str: ...
    @property
    def prometheus_url(self) -> str | None: ...
    @property
    def bundle_uri(self) -> str | None: ...
    @property
    def kserve_image(self) -> str | None: ...
    @property
    def kserve_namespace(self) -> str: ...


def check_cluster(settings: ClusterSettings) -> None:
    """Raise ValueError, with a sentence, when only half of a cluster is configured."""
    if settings.signals == "prometheus" and settings.prometheus_url is None:
        raise ValueError("MLOPS_PROMETHEUS_URL must be set when MLOPS_SIGNALS is 'prometheus'.")
    if settings.serving == "local":
        if settings.bundle_uri is not None:
            raise ValueError("MLOPS_BUNDLE_URI needs MLOPS_SERVING=kserve: local model processes read this disk.")
        return
    if not re.fullmatch(r"[^\s@]+@sha256:[0-9a-f]{64}", settings.kserve_image or ""):
        raise ValueError(
            "MLOPS_KSERVE_IMAGE must name the model server's image by digest (name@sha256:...): "
            "a tag may mean another image tomorrow than the one that was scanned."
        )
    if settings.bundle_uri is None:
        raise ValueError("MLOPS_BUNDLE_URI must be set with MLOPS_SERVING=kserve: pods do not see this disk.")
    if settings.signals != "prometheus":
        raise ValueError(
            "MLOPS_SIGNALS must be 'prometheus' with MLOPS_SERVING=kserve: one API process's counters do not show "
            "what the others answered."
        )
    if set(re.findall(r"{(.*?)}", settings.kserve_namespace)) != {"tenant", "environment"}:
        raise ValueError("MLOPS_KSERVE_NAMESPACE must contain {tenant} and {environment}, and nothing else in braces.")
