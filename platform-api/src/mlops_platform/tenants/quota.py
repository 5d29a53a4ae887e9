"""How much a tenant gets in each of its environments, and what one container gets when it does not say. Pure.

A profile is what the whole tenant may request. With both environments, staging has a quarter and production the rest, so
the two add up to the profile. Limits are twice the requests. The number of pods is never more than the limits can hold
when every pod takes the defaults, and the largest pod fits every quota.
"""

from dataclasses import dataclass

from mlops_platform.tenants.definition import Environment, Tenant


@dataclass(frozen=True)
class Profile:
    """What a tenant of a size may request."""

    cpu: int
    memory_gib: int
    gpu: int


# requirements, section 6
PROFILES = {
    "small": Profile(cpu=50, memory_gib=100, gpu=2),
    "medium": Profile(cpu=100, memory_gib=200, gpu=4),
    "large": Profile(cpu=200, memory_gib=400, gpu=8),
}
PODS, SERVICES, CLAIMS = 100, 20, 50
LIMIT_FACTOR = 2

# the defaults of a container, and the most one may ask for
DEFAULT_CPU, DEFAULT_MEMORY_GIB = 1, 2
DEFAULT_REQUEST_CPU_MILLI, DEFAULT_REQUEST_MEMORY_MIB = 250, 512
CONTAINER_CPU, CONTAINER_MEMORY_GIB = 8, 16
POD_CPU, POD_MEMORY_GIB = 16, 32


@dataclass(frozen=True)
class Quota:
    """What one namespace gets."""

    cpu: int
    memory_gib: int
    gpu: int
    pods: int
    services: int
    claims: int

    @property
    def limits_cpu(self) -> int:
        """The most all containers together may burst to."""
        return self.cpu * LIMIT_FACTOR

    @property
    def limits_memory_gib(self) -> int:
        """The most memory all containers together may take."""
        return self.memory_gib * LIMIT_FACTOR

    def hard(self) -> dict[str, str]:
        """Return it as a ResourceQuota says it."""
        return {
            "requests.cpu": str(self.cpu),
            "requests.memory": f"{self.memory_gib}Gi",
            "limits.cpu": str(self.limits_cpu),
            "limits.memory": f"{self.limits_memory_gib}Gi",
            "requests.nvidia.com/gpu": str(self.gpu),
            "pods": str(self.pods),
            "services": str(self.services),
            "services.loadbalancers": "0",
            "services.nodeports": "0",
            "persistentvolumeclaims": str(self.claims),
        }


def quotas(tenant: Tenant) -> dict[Environment, Quota]:
    """Return the quota of each environment of a tenant; they add up to its profile."""
    profile = PROFILES[tenant.profile]
    if len(tenant.environments) == 1:
        return {tenant.environments[0]: _quota(profile.cpu, profile.memory_gib, profile.gpu, PODS, SERVICES, CLAIMS)}
    whole = (profile.cpu, profile.memory_gib, profile.gpu, PODS, SERVICES, CLAIMS)
    quarter = tuple(amount // 4 for amount in whole)
    rest = tuple(amount - part for amount, part in zip(whole, quarter, strict=True))
    return {"staging": _quota(*quarter), "production": _quota(*rest)}


def _quota(cpu: int, memory_gib: int, gpu: int, pods: int, services: int, claims: int) -> Quota:
    fitting = min(pods, cpu * LIMIT_FACTOR // DEFAULT_CPU, memory_gib * LIMIT_FACTOR // DEFAULT_MEMORY_GIB)
    return Quota(cpu, memory_gib, gpu, fitting, services, claims)
