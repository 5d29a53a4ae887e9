"""The rows of a request, and its refusal in the data plane's own form."""

from collections.abc import Callable
from typing import TypeVar

from mlops_platform.errors import Invalid, PlatformError
from mlops_platform.predictions.problems import InputNotValid, ModelRefusesInput, PredictNotJson
from model_server.contract.problems import BadInput, ModelRefuses, NotJson

Found = TypeVar("Found")
INPUT_DATA = "/input_data"


def fitting(read: Callable[[], Found], prefix: str = INPUT_DATA, kind: type[Invalid] = InputNotValid) -> Found:
    """Return what `read` does. Raises `kind` (ModelRefusesInput for a model's own refusal) with pointers below `prefix`.

    Raises PredictNotJson.
    """
    try:
        return read()
    except (NotJson, BadInput) as error:
        raise misfit(error, prefix, kind) from error


def misfit(error: NotJson | BadInput, prefix: str = INPUT_DATA, kind: type[Invalid] = InputNotValid) -> PlatformError:
    """Return the refusal for what could not be read, with pointers below `prefix`."""
    return PredictNotJson(str(error)) if isinstance(error, NotJson) else not_valid(error, prefix, kind)


def not_valid(error: BadInput, prefix: str = INPUT_DATA, kind: type[Invalid] = InputNotValid) -> Invalid:
    """Return the refusal for what does not fit: each problem with its pointer, its row and its column."""
    kind = ModelRefusesInput if isinstance(error, ModelRefuses) else kind
    return kind(str(error), errors=[problem.as_json(prefix) for problem in error.problems])
