"""The contract for a small model of every flavour, and for every further shape of rows and answers."""

import pytest

from .contract import OneContract
from .siblings import SIBLINGS

pytestmark = [
    pytest.mark.whole("eleven models, each built and served by two processes; a model of each kind runs before merges"),
    pytest.mark.timeout(1800),
]

SAMPLES = SIBLINGS


class TestContractOfFlavours(OneContract):
    """Each flavour that is served, several labels, clusters, quantiles, tensors, named outputs, params, code of its own."""
