"""Which files an artifact tree may hold. Deny by default: what is not named here is refused before it is opened."""

from pathlib import Path

from model_server.digests import plain_files
from model_server.formats.beside import is_registry_note, may_be_tensors
from model_server.refusals import Refused

METADATA = frozenset({".yaml", ".yml", ".json", ".txt", ".csv", ".md", ".parquet", ".html", ".png", ".svg"})
DATA = frozenset({".npy", ".npz"})
MODELS = frozenset({".onnx", ".skops", ".ubj", ".lgb", ".xgb"})
PICKLES = frozenset({".pkl", ".pickle", ".joblib", ".cloudpickle"})
PYTHON = frozenset({".py", ".pyc", ".so", ".dll", ".dylib", ".pyd", ".whl", ".egg", ".sh"})
PLAIN_NAMES = frozenset({"MLmodel", "LICENSE", "README"})

# A tree beyond this is no tabular model; unbounded trees would fill the disk of every runtime that holds the bundle.
MAX_FILES = 10_000
MAX_BYTES = 4 << 30


def check_formats(root: Path) -> list[Path]:
    """Return the files of the tree when each has an allowed format.

    Raises Refused: `custom_code` for Python or native code, `format_not_allowed` for any other suffix,
    `empty_artifact`, `too_large`, `unsafe_tree` (links and special files).
    """
    files = plain_files(root)
    if not files:
        raise Refused("empty_artifact", "The artifact folder is empty; log the model again.")
    if len(files) > MAX_FILES or sum(path.stat().st_size for path in files) > MAX_BYTES:
        raise Refused("too_large", f"The artifact is larger than {MAX_BYTES >> 30} GiB or {MAX_FILES} files.")
    for path in files:
        _check_one(root, path, path.relative_to(root).as_posix())
    return files


def _check_one(root: Path, path: Path, relative: str) -> None:
    suffix = path.suffix.lower()
    if suffix in PYTHON:
        raise Refused(
            "custom_code",
            f"'{relative}' is program code; models that bring their own code are not served. "
            "Log a scikit-learn, XGBoost, LightGBM or ONNX model without code_paths.",
        )
    if suffix in METADATA | DATA | MODELS | PICKLES or path.name in PLAIN_NAMES:
        return
    if is_registry_note(root, path) or may_be_tensors(path):
        return
    raise Refused(
        "format_not_allowed",
        f"'{relative}' has a format that is not on the allow-list (ONNX, skops, XGBoost json/ubj, LightGBM txt/lgb, "
        "pickles of scikit-learn models, and metadata files).",
    )
