"""What a template imports once, so that the processes forked from it need not: measured, see ADR-045.

Not onnxruntime, which starts threads when it is imported; it costs a forked process 40 ms. Not MLflow, which a few models need and
which would cost every idle platform 50 MB. Libraries that are not installed are left out.
"""

import contextlib
import gc
import importlib
import os
import pkgutil
import tempfile
from pathlib import Path

import model_server

_HOMES = ("HOME", "MPLCONFIGDIR", "NUMBA_CACHE_DIR")
_TEMPLATE, _BUILD = "model_server.template", "model_server.build"
_FOR_BOTH = (
    "numpy",
    "pandas",
    "scipy.stats",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.compose",
    "sklearn.pipeline",
    "skops.io",
    "yaml",
    "orjson",
)
_FOR_BUILDS = ("onnx", "skl2onnx")
_FOR_ANSWERS = ("uvicorn", "uvloop", "httptools", "anyio", "prometheus_client", "shap")
BUILDS, ANSWERS, EVERYTHING = "builds", "answers", "everything"
SETS: dict[str, tuple[str, ...]] = {
    BUILDS: (*_FOR_BOTH, *_FOR_BUILDS),
    ANSWERS: (*_FOR_BOTH, *_FOR_ANSWERS),
    EVERYTHING: (*_FOR_BOTH, *_FOR_BUILDS, *_FOR_ANSWERS),
}

# one thread, from the first import on; read by the libraries while they are loaded, and the same for every model
VARIABLES = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "NUMBA_DISABLE_JIT": "1",
    "MPLBACKEND": "Agg",
    "JOBLIB_MULTIPROCESSING": "0",
    # Arrow's allocator, which pandas loads, has a thread that returns memory
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "LANG": "C.UTF-8",
    "PATH": os.defpath,
}


def preload(name: str) -> None:
    """Import a set of libraries and this package, then take what was made out of the collector's sight: it stays shared."""
    gc.disable()
    # libraries look for a home while they are imported, and some write to it
    with tempfile.TemporaryDirectory(prefix="model-template-") as home:
        os.environ.update(dict.fromkeys(_HOMES, home))
        for module in (*SETS[name], *_ours(name)):
            with contextlib.suppress(ModuleNotFoundError):
                importlib.import_module(module)
    for variable in _HOMES:
        del os.environ[variable]
    gc.collect()
    gc.freeze()


def threads() -> int:
    """Return how many threads this process has."""
    return sum(1 for _ in Path("/proc/self/task").iterdir())


def _ours(name: str) -> list[str]:
    without = (_TEMPLATE, _BUILD) if name == ANSWERS else (_TEMPLATE,)
    found = pkgutil.walk_packages(model_server.__path__, "model_server.")
    return [each.name for each in found if not each.name.startswith(without)]
