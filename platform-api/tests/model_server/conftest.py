import os
from collections.abc import Callable

import pytest
from sample_models import MODELS, Built, log

from model_server.build.__main__ import build

# As in a served process: compiling SHAP's loops takes longer than every explanation of the suite together.
os.environ.setdefault("NUMBA_DISABLE_JIT", "1")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Built]:
    """Build a sample model once per test process."""
    known: dict[str, Built] = {}

    def make(name: str) -> Built:
        if name not in known:
            folder = tmp_path_factory.mktemp("model")
            model, frame, flavor = MODELS[name]()
            artifact = log(model, frame, flavor, folder / "artifact")
            report = build(artifact, folder / "bundle", name="sample", version=1)
            assert report.verdict == "built", report.sentence
            known[name] = Built(folder / "bundle", artifact, report, model, frame)
        return known[name]

    return make
