"""Which names a pickle may bring in, and which of them it may call. Deny by default; pure decisions, no input or output.

A pickle is a program whose instructions can call anything it can name, so the names are the whole danger. They are decided by
what estimators need: classes by name (pickle_names.py), functions one by one. Bringing in a class is not calling it: an
instance is made without its constructor, and constructors that evaluate, open or fetch are never called.
"""

from model_server.formats import pickle_names

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
            "bytes",
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
    "numpy": pickle_names.SCALARS | pickle_names.UFUNCS,
    "numpy._core.multiarray": frozenset({"_reconstruct", "scalar"}),
    "numpy.core.multiarray": frozenset({"_reconstruct", "scalar"}),
    "numpy._core.numeric": frozenset({"_frombuffer"}),
    "numpy.core.numeric": frozenset({"_frombuffer"}),
    "numpy.ma.core": frozenset({"_mareconstruct"}),
    "scipy._lib.array_api_compat.numpy._aliases": frozenset({"asarray"}),
    "sklearn.cluster._kmeans": frozenset({"_kmeans_single_lloyd", "_kmeans_single_elkan"}),
    "sklearn.metrics._classification": pickle_names.SCORES,
    "sklearn.metrics._regression": pickle_names.SCORES,
    "sklearn.metrics._ranking": pickle_names.SCORES,
    "numpy.random._pickle": frozenset(
        {"__bit_generator_ctor", "__generator_ctor", "__randomstate_ctor"},
    ),
    "numpy.random.bit_generator": frozenset({"__pyx_unpickle_SeedSequence"}),
    "scipy.special": frozenset({"expit", "logit"}),
    "scipy.special._ufuncs": frozenset({"expit", "logit"}),
    "pandas": frozenset({"DataFrame", "Series", "Index", "Timestamp", "Timedelta", "CategoricalDtype"}),
    "pandas.core.indexes.base": frozenset({"_new_Index"}),
    "pandas.core.indexes.datetimes": frozenset({"_new_DatetimeIndex"}),
    "pandas.core.indexes.interval": frozenset({"_new_IntervalIndex"}),
    "pandas._libs.tslibs.nattype": frozenset({"__nat_unpickle"}),
    "pandas._libs.tslibs.timedeltas": frozenset({"_timedelta_unpickle"}),
    "pandas._libs.tslibs.timestamps": frozenset({"_unpickle_timestamp"}),
    "pandas._libs.internals": frozenset({"_unpickle_block"}),
    "pandas._libs.arrays": frozenset({"__pyx_unpickle_NDArrayBacked"}),
    "sklearn.feature_selection._univariate_selection": frozenset({"f_classif", "f_regression", "chi2", "r_regression"}),
    "sklearn.feature_selection._mutual_info": frozenset({"mutual_info_classif", "mutual_info_regression"}),
    "sklearn.utils.validation": frozenset({"check_array"}),
    # HistGradientBoosting keeps partial(check_array); a partial can only hold what the pickle may name anyway.
    "functools": frozenset({"partial"}),
    "joblib.numpy_pickle": frozenset({"NumpyArrayWrapper"}),
}


_CLASSES: tuple[tuple[str, frozenset[str]], ...] = (
    ("sklearn", pickle_names.ESTIMATORS | pickle_names.PARTS | pickle_names.EARLIER),
    ("xgboost.sklearn", pickle_names.XGBOOST),
    ("xgboost.core", pickle_names.XGBOOST),
    ("lightgbm.sklearn", pickle_names.LIGHTGBM),
    ("lightgbm.basic", pickle_names.LIGHTGBM),
    ("pandas.core", pickle_names.PANDAS),
    ("pandas._libs", pickle_names.PANDAS),
    ("scipy.interpolate", pickle_names.SCIPY_INTERPOLATE),
    ("scipy.sparse", _SPARSE),
    ("numpy.random", pickle_names.NUMPY_RANDOM),
    ("numpy.ma", frozenset({"MaskedArray"})),
    ("statsmodels", pickle_names.STATSMODELS),
)
# what is called with arguments when an honest model is loaded; nothing of it evaluates, opens or fetches
_CALLED: dict[str, frozenset[str]] = {
    "builtins": frozenset({"bytearray", "bytes", "slice", "set", "frozenset", "complex", "range"}),
    "__builtin__": frozenset({"bytearray", "bytes", "slice", "set", "frozenset", "complex", "object"}),
    "collections": frozenset({"OrderedDict", "defaultdict", "deque", "Counter"}),
    "numpy": frozenset({"dtype"}),
    "pandas._libs.interval": frozenset({"Interval"}),
    "pandas.core.arrays.string_": frozenset({"StringDtype"}),
    "pandas.core.internals.managers": frozenset({"BlockManager"}),
    "datetime": frozenset({"datetime", "date", "time", "timedelta", "timezone"}),
}
_CALLED_WHOLLY = frozenset(
    {
        "copyreg",
        "copy_reg",
        "_codecs",
        "functools",
        "numpy._core.multiarray",
        "numpy.core.multiarray",
        "numpy._core.numeric",
        "numpy.core.numeric",
        "numpy.ma.core",
        "numpy.random._pickle",
        "numpy.random.bit_generator",
        "pandas.core.indexes.base",
        "pandas.core.indexes.datetimes",
        "pandas.core.indexes.interval",
        "pandas._libs.internals",
        "pandas._libs.arrays",
        "pandas._libs.tslibs.nattype",
        "pandas._libs.tslibs.timedeltas",
        "pandas._libs.tslibs.timestamps",
    }
)


def is_allowed(module: str, name: str) -> bool:
    """Whether a pickle may import `name` from `module`.

    Dotted names are never allowed: the unpickler would walk them as attributes and so reach modules that an allowed
    module merely imports.
    """
    if "." in name:
        return False
    if name in FUNCTIONS.get(module, frozenset()):
        return True
    if _inside(module, pickle_names.EXCLUDED):
        return False
    if _is_constructor_of_cython(module, name):
        return True
    return any(_inside(module, (package,)) and name in names for package, names in _CLASSES)


def may_be_called(module: str, name: str) -> bool:
    """Whether a pickle may call an allowed name with arguments of its own choosing."""
    if name in _CALLED.get(module, frozenset()) or _is_constructor_of_cython(module, name):
        return True
    if module in _CALLED_WHOLLY:
        return name in FUNCTIONS.get(module, frozenset())
    # compiled parts of estimators, which take numbers only
    return _inside(
        module, ("sklearn._loss._loss", "sklearn.linear_model._sgd_fast", "sklearn.tree._tree")
    ) and is_allowed(module, name)


def _is_constructor_of_cython(module: str, name: str) -> bool:
    return (
        _inside(module, ("sklearn",))
        and not _inside(module, pickle_names.EXCLUDED)
        and (name == "newObj" or name.startswith("__pyx_unpickle_"))
    )


_LIBRARIES = ("sklearn", "xgboost", "lightgbm", "numpy", "scipy", "pandas", "statsmodels")


def defined_in_allowed_package(module: str) -> bool:
    """Whether an object that an allowed name resolved to was really defined in a package we allow."""
    return (
        module in FUNCTIONS
        or (_inside(module, _LIBRARIES) and not _inside(module, pickle_names.EXCLUDED))
        or module
        in {
            "_collections",
            "_datetime",
        }
    )


def _inside(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)
