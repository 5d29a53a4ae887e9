"""Which answers of MLflow are failures of its own, and say nothing of what was asked."""

import re

from mlflow.exceptions import RestException

_CODES = frozenset({"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE"})
# the page that SQLAlchemy names of each kind of error; a value that does not fit and one that is there already are the caller's
_PAGE = re.compile(r"https://sqlalche\.me/e/\d+/(\w+)")
_FAULTS_OF_VALUES = frozenset({"9h9h", "gkpj"})


def its_own(error: RestException) -> bool:
    """Return whether the server failed. MLflow answers BAD_REQUEST for most of what its database does not do."""
    page = _PAGE.search(error.message)
    of_database = error.error_code == "BAD_REQUEST" and page is not None and page[1] not in _FAULTS_OF_VALUES
    return error.error_code in _CODES or of_database
