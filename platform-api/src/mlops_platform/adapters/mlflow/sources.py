"""Where a model URI leads: runs:/RUN/PATH, models:/NAME/VERSION, models:/NAME@ALIAS, models:/ID of a logged model."""

import re

from mlflow import MlflowClient

from mlops_platform.models.interfaces import NotInRegistry

_LOGGED_MODEL = re.compile(r"models:/+(m-[0-9a-f]{32})/*")
# models:/NAME/VERSION and models:/NAME@ALIAS are versions; MLflow takes everything else for the id of a logged model
_BY_ID = re.compile(r"models:/+[^/@]*/*")


def require_logged(client: MlflowClient, model_uri: str) -> None:
    """Raise NotInRegistry or MlflowException when the URI names a logged model that MLflow does not have.

    Asked to register one, MLflow answers a failure of its own (INTERNAL_ERROR), as it does on a full disk.
    """
    if logged := _LOGGED_MODEL.fullmatch(model_uri):
        client.get_logged_model(logged[1])
    elif _BY_ID.fullmatch(model_uri):
        raise NotInRegistry(
            "MLflow has no such logged model; an id looks like models:/m-0123456789abcdef0123456789abcdef."
        )


def place_of(client: MlflowClient, model_uri: str) -> str:
    """Return an address to which a file's name can be added: MLflow would read `models:/m-ID/file` as a model's name."""
    logged = _LOGGED_MODEL.fullmatch(model_uri)
    return str(client.get_logged_model(logged[1]).artifact_location) if logged else model_uri
