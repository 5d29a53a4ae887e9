"""What the worker measures that belongs to no other room: dependencies, drift, certificates."""

import anyio
import structlog

from mlops_platform import __version__
from mlops_platform.dependencies import Services
from mlops_platform.deployments import service as deployments
from mlops_platform.errors import PlatformError
from mlops_platform.kit.jobs import Job
from mlops_platform.monitoring import certificates, probes, service
from mlops_platform.monitoring.service import ModelReport
from mlops_platform.predictions.bundles import fetch_bundles
from mlops_platform.telemetry import metrics
from mlops_platform.telemetry.gauges import Family
from mlops_platform.telemetry.items import apart

log = structlog.get_logger(__name__)

_PSI = Family(metrics.model_input_drift_psi)
_NULLS = Family(metrics.model_input_null_share)
_STRANGE = Family(metrics.model_input_out_of_range_share)
_QUALITY = Family(metrics.data_quality_score)
_MEAN = Family(metrics.prediction_mean)
_ROWS = Family(metrics.drift_rows_compared)
_BASELINE = Family(metrics.drift_baseline_rows)
_EXPIRY = Family(metrics.tls_certificate_expiry_timestamp_seconds)


async def probe(services: Services) -> None:
    """Show whether each part the platform stands on answers."""
    for component, check in (await probes.ask(services)).items():
        metrics.platform_up.labels(component).set(1 if check.ok else 0)
        metrics.platform_probe_seconds.labels(component).set(check.milliseconds / 1_000)
    metrics.platform_build_info.labels(__version__).set(1)


async def watch_inputs(services: Services) -> None:
    """Compare the last hour of every live model with its training sample."""
    async with services.database.read_session() as session:
        snapshot = await deployments.live_routes(session, services.runtime.address)
    # where bundles are published, the sample has to be brought here first
    snapshot = await anyio.to_thread.run_sync(fetch_bundles, snapshot, services.bundles)
    reports = {}
    for name, live in service.judged(snapshot.revisions).items():
        try:
            reports[name] = await anyio.to_thread.run_sync(service.examine, live, services.prediction_log)
        except PlatformError:
            # the table is not answering: no model can be judged now
            raise
        except Exception:  # one model's sample or rows: the others are judged all the same
            metrics.drift_failures_total.labels(name).inc()
            log.exception("inputs not compared", model=name, version=live.version)
    show(reports)


def show(reports: dict[str, ModelReport]) -> None:
    """Set the gauges of drift and quality to exactly these reports."""
    features = [
        ((name, feature), found)
        for name, report in reports.items()
        for feature, found in report.inputs.features.items()
    ]
    _PSI.replace({labels: found.psi for labels, found in features if found.psi is not None})
    _NULLS.replace({labels: found.null_share for labels, found in features})
    _STRANGE.replace({labels: found.out_of_range_share for labels, found in features})
    # without rows there is nothing to score, and without a sample nothing to score against
    scored = {name: report for name, report in reports.items() if report.inputs.rows and report.inputs.features}
    _QUALITY.replace({(f"inputs:{name}",): report.inputs.quality for name, report in scored.items()})
    _MEAN.replace(
        {(name,): report.prediction_mean for name, report in reports.items() if report.prediction_mean is not None}
    )
    _ROWS.replace({(name,): report.inputs.rows for name, report in reports.items()})
    _BASELINE.replace({(name,): report.baseline_rows for name, report in reports.items()})


async def watch_certificates(services: Services) -> None:
    """Show when the certificates of the issuer, of MLflow and of the platform's own address end."""
    settings = services.settings
    found = {}
    for url in (settings.issuer, settings.mlflow_public_url or settings.mlflow_url, settings.public_url):
        address = certificates.address_of(url)
        if address is None:
            continue
        named = f"{address[0]}:{address[1]}"
        with apart("certificates", address=named):
            try:
                end = await anyio.to_thread.run_sync(certificates.expiry, *address)
            except OSError as error:
                # an address that does not answer is another alert's business
                log.warning("certificate not read", address=named, reason=str(error))
                continue
            found[named,] = end.timestamp()
    _EXPIRY.replace(found)


JOBS = (
    Job("platform-probes", 5, probe, exclusive=False),
    Job("drift", 30, watch_inputs, exclusive=False, pipeline=True),
    Job("certificates", 600, watch_certificates, exclusive=False),
)
