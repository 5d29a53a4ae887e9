"""Which files an artifact tree may hold. Deny by default: what is not named here is refused before it is opened.

A model that declares code of its own (its MLmodel says where) may hold Python sources there, and whatever its code reads.
"""

from dataclasses import dataclass
from pathlib import Path

from model_server.digests import plain_files
from model_server.formats.artifact import chosen, described
from model_server.formats.beside import is_registry_note, may_be_tensors
from model_server.formats.flavours import Code
from model_server.refusals import Refused

METADATA = frozenset({".yaml", ".yml", ".json", ".txt", ".csv", ".md", ".parquet", ".html", ".png", ".svg"})
DATA = frozenset({".npy", ".npz"})
MODELS = frozenset({".onnx", ".skops", ".ubj", ".lgb", ".xgb", ".cb", ".cbm"})
PICKLES = frozenset({".pkl", ".pickle", ".joblib", ".cloudpickle", ".statsmodels"})
PYTHON = frozenset({".py", ".pyc", ".so", ".dll", ".dylib", ".pyd", ".whl", ".egg", ".sh"})
SOURCE = ".py"
PLAIN_NAMES = frozenset({"MLmodel", "LICENSE", "README"})

# A tree beyond this is no tabular model; unbounded trees would fill the disk of every runtime that holds the bundle.
MAX_FILES = 10_000
MAX_BYTES = 4 << 30


@dataclass(frozen=True)
class Declared:
    """Where an artifact says that it brings code, as paths in its tree."""

    code: Code = "none"
    folder: str | None = None
    file: str | None = None
    files: tuple[str, ...] = ()

    def is_source(self, relative: str) -> bool:
        """Whether the file is Python source at a place the model declares."""
        inside = any(_below(relative, place) for place in (self.folder, *self.files) if place)
        return relative.endswith(SOURCE) and (inside or relative == self.file)

    def is_own(self, relative: str) -> bool:
        """Whether the file is something that the model's own code reads."""
        return any(_below(relative, place) for place in (self.folder, *self.files) if place)


def declared(root: Path) -> Declared:
    """Return what the artifact's MLmodel declares. Raises Refused `bad_metadata`, `flavor_not_supported`."""
    content = described(root)
    if content is None:
        return Declared()
    flavour = chosen(content)
    return Declared(flavour.code, flavour.code_folder, flavour.code_file, flavour.files)


def _below(relative: str, place: str) -> bool:
    return relative == place or relative.startswith(f"{place.rstrip('/')}/")


def check_formats(root: Path) -> list[Path]:
    """Return the files of the tree when each has an allowed format.

    Raises Refused: `custom_code` for native code and for Python that is not declared, `format_not_allowed` for any other
    suffix, `flavor_not_supported`, `bad_metadata`, `empty_artifact`, `too_large`, `unsafe_tree` (links and special files).
    """
    files = plain_files(root)
    if not files:
        raise Refused("empty_artifact", "The artifact folder is empty; log the model again.")
    if len(files) > MAX_FILES or sum(path.stat().st_size for path in files) > MAX_BYTES:
        raise Refused("too_large", f"The artifact is larger than {MAX_BYTES >> 30} GiB or {MAX_FILES} files.")
    places = declared(root)
    for path in files:
        _check_one(root, path, path.relative_to(root).as_posix(), places)
    return files


def _check_one(root: Path, path: Path, relative: str, places: Declared) -> None:
    suffix = path.suffix.lower()
    if places.is_source(relative):
        return
    if suffix == SOURCE:
        raise Refused(
            "custom_code",
            f"'{relative}' is program code that the model does not declare; log the model again with code_paths=[...].",
        )
    if suffix in PYTHON:
        raise Refused(
            "custom_code",
            f"'{relative}' is compiled code, a package or a script; models bring Python sources only (code_paths=[...]).",
        )
    if suffix in METADATA | DATA | MODELS | PICKLES or path.name in PLAIN_NAMES:
        return
    if places.is_own(relative) or is_registry_note(root, path) or may_be_tensors(path):
        return
    raise Refused(
        "format_not_allowed",
        f"'{relative}' has a format that is not on the allow-list (ONNX, skops, XGBoost json/ubj, LightGBM txt/lgb, "
        "CatBoost cb, pickles of scikit-learn and statsmodels models, and metadata files).",
    )
