"""What the data plane refuses, and how it says so."""

from mlops_platform.errors import BadRequest, Invalid, NotFound, ServerError, Unavailable


class ModelNotLive(NotFound):
    """No revision of this model answers for this caller."""

    title = "The model is not deployed"

    def __init__(self, name: str, hint: str = "") -> None:
        """`hint` is empty, or "; did you mean '…'?" with a name this caller may know."""
        shows = hint or "; `mlops deployments list` shows what does."
        super().__init__(f"No live deployment of a model named '{name[:200]}' answers you{shows}")


class VersionNotLive(NotFound):
    """The model answers, but not with this version."""

    title = "The version is not deployed"

    def __init__(self, name: str, version: str, live: list[int]) -> None:
        shown = ", ".join(map(str, live))
        super().__init__(f"Version '{version}' of '{name}' does not answer; live versions: {shown}.")


class InputNotValid(Invalid):
    """The input does not fit the model."""

    title = "The input does not fit the model"


class ModelRefusesInput(InputNotValid):
    """The input fits the schema, and the model itself refuses it: an unknown category, a value out of its domain."""

    title = "The model refuses the input"


class PredictNotValid(Invalid):
    """The request does not fit the API."""

    title = "The request does not fit the API's schema"


class PredictNotJson(BadRequest):
    """The body is not JSON."""

    title = "The request body is not JSON"

    def __init__(self, reason: str = "") -> None:
        because = f" ({reason})" if reason else ""
        super().__init__(f"The body could not be parsed as JSON{because}; send one JSON object.")


class ModelProcessDown(Unavailable):
    """The process that answers is restarting."""

    title = "The model process is restarting"

    def __init__(self, name: str, said: str = "") -> None:
        """`said`: what its host says instead of it."""
        because = f" ({said.removesuffix('.')})" if said else ""
        super().__init__(
            f"The process of '{name}' does not answer and is being restarted{because}; try again in a second.",
            retry_after=1,
        )


class ModelBusy(Unavailable):
    """More requests wait for the model than it can answer soon."""

    title = "The model is busy"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"More requests wait for '{name}' than it can answer soon, so this one was not taken; try again in a second, or "
            "send fewer requests with more rows each.",
            retry_after=1,
        )


class RoutesUnknown(Unavailable):
    """This API process has not read what is deployed yet."""

    title = "Deployments are not known yet"

    def __init__(self) -> None:
        super().__init__(
            "This process has just started and cannot read what is deployed; try again in a second.", retry_after=1
        )


class FeaturesIncomplete(Invalid):
    """The feature store lacks values the model requires."""

    title = "Features of the entity are missing"


class ModelFailed(Unavailable):
    """The model could not compute an answer."""

    title = "The model could not answer"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"'{name}' failed on this input; the platform's log has the details under the request id.", retry_after=5
        )


class ModelAnswersWrong(ServerError):
    """The model gave more or fewer answers than rows, or answers of another shape than its build recorded."""

    title = "The model's answers do not fit the rows"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"'{name}' did not give one answer of its own shape for every row, so no answer is passed on; deploy the "
            "version again, so that its build checks this, or log a model that predicts row by row."
        )


class RevisionNotLoaded(Unavailable):
    """The revision that should answer could not be loaded by this process."""

    title = "The revision cannot be loaded"

    def __init__(self, name: str, version: int) -> None:
        super().__init__(
            f"Version {version} of '{name}' cannot be loaded here; loading is tried again, and the platform's log has the "
            "reason under the model's name.",
            retry_after=5,
        )
