"""The static walk finds every name a pickle brings in, whatever trick hides it."""

import contextlib
import io
import pickle
from fractions import Fraction
from typing import Any

import joblib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from model_server.formats.pickle_policy import is_allowed
from model_server.formats.pickle_walk import PickleWalk
from model_server.refusals import Refused


def names(content: bytes, *, joblib: bool = False) -> set[str]:
    return {str(name) for name in PickleWalk(io.BytesIO(content), "model", joblib=joblib).run()}


def test_name_assembled_through_the_memo_is_found() -> None:
    # 'os' and 'system' are memoised, dropped, and fetched again before STACK_GLOBAL.
    content = b"\x80\x04\x8c\x02os\x940\x8c\x06system\x940h\x00h\x01\x93."
    assert names(content) == {"os.system"}


def test_name_taken_from_a_duplicate_or_a_tuple_is_found_or_refused() -> None:
    assert names(b"\x80\x04\x8c\x02os2\x8c\x06system\x93.") == {"os.system"}
    with pytest.raises(Refused, match="cannot be checked"):
        names(b"\x80\x04\x8c\x02os\x8c\x06system\x86\x93.")


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x04\x82\x01.",  # an extension code refers to the process's registry
        b"\x80\x04Pidentity\n.",  # so does a persistent id
        b"\x80\x04\x8c\x02os\x8c\x06systemN\x93.",  # a name that is None
        b"\x80\x04}\x93.",  # not enough on the stack
        b"\x80\x04h\x05.",  # a memo entry that was never written
        b"\x80\x04K\x01K\x02\x85R.",  # calls a number
        b"cbuiltins\ndict\n}b.",  # changes a class
        b"",
    ],
)
def test_what_cannot_be_followed_is_refused(content: bytes) -> None:
    with pytest.raises(Refused) as refused:
        names(content)
    assert refused.value.code == "unreadable_pickle"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("operator", "attrgetter"),
        ("functools", "reduce"),
        ("subprocess", "Popen"),
        ("numpy.testing._private.utils", "runstring"),
        ("numpy", "load"),
        ("numpy.f2py", "compile"),
        ("pandas", "eval"),
        ("pandas.io.pickle", "read_pickle"),
        ("pandas.io.common", "ZipFile"),
        ("sklearn.datasets", "fetch_openml"),
        ("sklearn.utils", "os.system"),
        ("sklearn.utils._joblib", "Memory"),
        ("sklearnx.evil", "Model"),
        ("cloudpickle.cloudpickle", "_make_function"),
        ("__main__", "Model"),
        ("mlflow.pyfunc", "PythonModel"),
    ],
)
def test_dangerous_names_are_not_allowed(module: str, name: str) -> None:
    assert not is_allowed(module, name)


def test_joblib_arrays_are_stepped_over_and_what_follows_is_seen() -> None:
    model = LogisticRegression().fit(np.arange(40.0).reshape(20, 2), [0, 1] * 10)
    # No built-in type: dill, once anything imports it, writes those by names of its own.
    stream = io.BytesIO()
    joblib.dump([model, np.arange(1000.0), np.array(["a", None], dtype=object), {"last": Fraction}], stream)
    found = names(stream.getvalue(), joblib=True)
    assert {"sklearn.linear_model._logistic.LogisticRegression", "fractions.Fraction"} <= found
    with pytest.raises(Refused, match="joblib suffix"):
        names(stream.getvalue())


@given(
    st.recursive(
        st.none()
        | st.integers()
        | st.text()
        | st.floats()
        | st.binary()
        | st.sampled_from([complex, dict, np.float64]),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
        max_leaves=20,
    ),
    st.integers(0, pickle.HIGHEST_PROTOCOL),
)
def test_walk_agrees_with_what_the_unpickler_resolves(thing: Any, protocol: int) -> None:
    resolved: set[str] = set()

    class Watching(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            resolved.add(f"{module}.{name}")
            return super().find_class(module, name)

    content = pickle.dumps(thing, protocol=protocol)
    Watching(io.BytesIO(content)).load()
    # Old protocols name Python 2 modules, which the unpickler maps before it resolves them.
    mapped = {name.replace("__builtin__.", "builtins.").replace("copy_reg.", "copyreg.") for name in names(content)}
    assert mapped >= {name.replace("__builtin__.", "builtins.").replace("copy_reg.", "copyreg.") for name in resolved}


@given(st.binary(max_size=60))
def test_walk_ends_in_names_or_a_refusal_for_any_bytes(content: bytes) -> None:
    with contextlib.suppress(Refused):
        names(content)
