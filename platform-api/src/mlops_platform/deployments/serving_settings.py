"""What a person may set for a model's processes: resources and environment variables, by allow-list. Pure."""

import re
from collections.abc import Mapping

from model_server.sandbox import environment

_CPU = re.compile(r"[1-9][0-9]{0,5}m|[0-9]{1,3}(\.[0-9]{1,3})?")
_BYTES = re.compile(r"([1-9][0-9]{0,14})(Ki|Mi|Gi|Ti|k|M|G|T)?")
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_SIZES = frozenset({"memory", "ephemeral-storage"})
_GPUS = frozenset({"nvidia.com/gpu", "amd.com/gpu"})
# the largest machines of the clouds; a quota of the tenant is stricter
_MOST_CPUS, _MOST_GPUS = 192, 16
_LEAST_MEMORY, _MOST_MEMORY = 64 << 20, 4 << 40


def resource_problem(name: str, value: str) -> str | None:
    """Say why this resource may not be asked for; None when it may be. Quantities are Kubernetes'."""
    if name == "cpu":
        fits = _CPU.fullmatch(value) is not None and 0 < _cpus(value) <= _MOST_CPUS
        wanted = f"processors such as 2, 0.5 or 500m, more than 0 and at most {_MOST_CPUS}"
    elif name in _SIZES:
        fits = _LEAST_MEMORY <= _bytes(value) <= _MOST_MEMORY
        wanted = "a size such as 512Mi or 2Gi, from 64Mi to 4Ti"
    elif name in _GPUS:
        fits = re.fullmatch(r"[0-9]{1,2}", value) is not None and int(value) <= _MOST_GPUS
        wanted = f"a whole number of at most {_MOST_GPUS}"
    else:
        known = ", ".join(["cpu", *sorted(_SIZES), *sorted(_GPUS)])
        return f"{name!r} is not a resource a model may ask for: {known}"
    return None if fits else f"'{name}' must be {wanted}"


def variable_problem(name: str, value: str) -> str | None:
    """Say why this variable may not be set; None when it may be: what the model server keeps is what is taken here."""
    return environment.problem(name, value)


def first_problem(resources: Mapping[str, str], variables: Mapping[str, str]) -> str | None:
    """Return the first sentence of either, None when all is well."""
    found = (
        *(resource_problem(*entry) for entry in resources.items()),
        *(variable_problem(*entry) for entry in variables.items()),
    )
    return next((sentence for sentence in found if sentence), None)


def _cpus(value: str) -> float:
    return int(value[:-1]) / 1000 if value.endswith("m") else float(value)


def _bytes(value: str) -> int:
    """The size in bytes; 0 for what is none."""
    read = _BYTES.fullmatch(value)
    return int(read[1]) * _UNITS[read[2] or ""] if read else 0
