"""Which names a pickle may bring in. Deny by default; pure decisions, no input or output.

A pickle is a program whose instructions can call anything it can name, so the names are the whole danger. Estimator
classes of the libraries we serve are allowed by package; functions are allowed one by one, because packages such as
numpy and pandas also hold functions which run or read whatever they are given.
"""

import re

_CLASS_NAME = re.compile(r"_?[A-Z][A-Za-z0-9_]*")

# Classes (names that start with a capital) of these packages and their submodules.
CLASS_PACKAGES = (
    "sklearn",
    "xgboost.sklearn",
    "xgboost.core",
    "lightgbm.sklearn",
    "lightgbm.basic",
    "pandas.core",
    "pandas._libs",
    "scipy.interpolate",
    "scipy.sparse",
    "numpy.random",
    "numpy.ma.core",
)
# Parts of these packages that load, fetch, compile or test things instead of predicting.
EXCLUDED_PACKAGES = (
    "sklearn.datasets",
    "sklearn.externals",
    "sklearn.utils._testing",
    "sklearn.utils.estimator_checks",
    "sklearn.utils._joblib",
    "sklearn.utils.parallel",
    "sklearn.conftest",
    "sklearn.callback",
)

_UFUNCS = frozenset(
    [
        "log",
        "log1p",
        "log2",
        "log10",
        "exp",
        "expm1",
        "exp2",
        "sqrt",
        "square",
        "cbrt",
        "absolute",
        "fabs",
        "negative",
        "sign",
        "reciprocal",
        "sin",
        "cos",
        "tan",
        "arcsin",
        "arccos",
        "arctan",
        "sinh",
        "cosh",
        "tanh",
        "arcsinh",
        "arctanh",
        "floor",
        "ceil",
        "rint",
        "trunc",
        "isnan",
        "isfinite",
        "identity",
        "nan_to_num",
    ]
)
_SCALARS = frozenset(
    [
        "dtype",
        "ndarray",
        "bool",
        "bool_",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "float16",
        "float32",
        "float64",
        "str_",
        "bytes_",
        "datetime64",
        "timedelta64",
    ]
)
_SPARSE = frozenset(
    f"{kind}_{form}" for kind in ("csr", "csc", "coo", "bsr", "dia", "dok", "lil") for form in ("matrix", "array")
)

FUNCTIONS: dict[str, frozenset[str]] = {
    "builtins": frozenset(
        [
            "list",
            "dict",
            "set",
            "frozenset",
            "tuple",
            "bytearray",
            "bytes",
            "str",
            "int",
            "float",
            "bool",
            "complex",
            "slice",
            "range",
            "object",
        ]
    ),
    "__builtin__": frozenset(
        [
            "list",
            "dict",
            "set",
            "frozenset",
            "tuple",
            "bytearray",
            "str",
            "int",
            "float",
            "bool",
            "complex",
            "slice",
            "object",
        ]
    ),
    "collections": frozenset({"OrderedDict", "defaultdict", "deque", "Counter"}),
    "copyreg": frozenset({"_reconstructor", "__newobj__"}),
    "copy_reg": frozenset({"_reconstructor"}),
    "_codecs": frozenset({"encode"}),
    "datetime": frozenset({"datetime", "date", "time", "timedelta", "timezone"}),
    "numpy": _SCALARS | _UFUNCS,
    "numpy._core.multiarray": frozenset({"_reconstruct", "scalar"}),
    "numpy.core.multiarray": frozenset({"_reconstruct", "scalar"}),
    "numpy._core.numeric": frozenset({"_frombuffer"}),
    "numpy.core.numeric": frozenset({"_frombuffer"}),
    "numpy.ma.core": frozenset({"_mareconstruct"}),
    "numpy.random._pickle": frozenset(
        {"__bit_generator_ctor", "__generator_ctor", "__randomstate_ctor"},
    ),
    "numpy.random.bit_generator": frozenset({"__pyx_unpickle_SeedSequence"}),
    "scipy.special": frozenset({"expit", "logit"}),
    "scipy.special._ufuncs": frozenset({"expit", "logit"}),
    "pandas": frozenset({"DataFrame", "Series", "Index", "Timestamp", "Timedelta", "CategoricalDtype"}),
    "pandas.core.indexes.base": frozenset({"_new_Index"}),
    "pandas._libs.internals": frozenset({"_unpickle_block"}),
    "pandas._libs.arrays": frozenset({"__pyx_unpickle_NDArrayBacked"}),
    "sklearn.feature_selection._univariate_selection": frozenset({"f_classif", "f_regression", "chi2", "r_regression"}),
    "sklearn.feature_selection._mutual_info": frozenset({"mutual_info_classif", "mutual_info_regression"}),
    "sklearn.utils.validation": frozenset({"check_array"}),
    # HistGradientBoosting keeps partial(check_array); a partial can only hold what the pickle may name anyway.
    "functools": frozenset({"partial"}),
    "joblib.numpy_pickle": frozenset({"NumpyArrayWrapper"}),
}


def is_allowed(module: str, name: str) -> bool:
    """Whether a pickle may import `name` from `module`.

    Dotted names are never allowed: the unpickler would walk them as attributes and so reach modules that an allowed
    module merely imports.
    """
    if "." in name:
        return False
    if name in FUNCTIONS.get(module, frozenset()):
        return True
    if _inside(module, EXCLUDED_PACKAGES):
        return False
    if _inside(module, ("scipy.sparse",)) and name in _SPARSE:
        return True
    if _inside(module, ("sklearn",)) and (name == "newObj" or name.startswith("__pyx_unpickle_")):
        return True
    return _inside(module, CLASS_PACKAGES) and _CLASS_NAME.fullmatch(name) is not None


def defined_in_allowed_package(module: str) -> bool:
    """Whether an object that an allowed name resolved to was really defined in a package we allow."""
    return (
        module in FUNCTIONS
        or _inside(module, (*CLASS_PACKAGES, "numpy", "scipy", "pandas"))
        or module
        in {
            "_collections",
            "_datetime",
        }
    )


def _inside(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)
