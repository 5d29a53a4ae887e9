"""The contract for a model of each kind: numbers, text, several targets, scores, text in and text out."""

import pytest

from .contract import OneContract
from .models import SAMPLES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

__all__ = ["SAMPLES", "TestOneContract"]


class TestOneContract(OneContract):
    """Each model as a graph, where it is compiled, as a process and as a cluster's server."""
