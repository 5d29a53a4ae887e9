"""What tenants have to know of the cluster they live in."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Places:
    """Namespaces and ports of what tenants may talk to; `endpoint_cidrs` is where AWS's services answer inside the VPC."""

    platform: str = "mlops-platform"
    platform_port: int = 8000
    platform_account: str = "platform-api"
    # the door: MLflow itself answers no tenant
    mlflow: str = "mlops-platform"
    mlflow_port: int = 5000
    feast: str = "feast"
    feast_port: int = 6566
    gateway: str = "envoy-gateway-system"
    monitoring: str = "monitoring"
    predictor_port: int = 8080
    # the label KServe puts on a predictor's pods
    predictor_label: tuple[str, str] = ("component", "predictor")
    # the VPC's range for interface endpoints; S3 through a gateway endpoint answers from AWS's own ranges of the region
    endpoint_cidrs: tuple[str, ...] = field(default_factory=tuple)
    # where the agent of EKS Pod Identity answers on every node
    identity_agent: str = "169.254.170.23/32"
