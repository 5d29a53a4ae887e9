"""What PostgreSQL means when a unit of work fails: by its SQLSTATE. Only a lost connection is 'not answering'."""

from sqlalchemy.exc import DBAPIError

from mlops_platform.errors import Invalid, Unavailable


class DatabaseUnavailable(Unavailable):
    """PostgreSQL does not answer."""

    title = "The database is not answering"

    def __init__(self) -> None:
        super().__init__(
            "Nothing was changed. Live models keep answering; try this again in a few seconds.", retry_after=2
        )


class ChangesMet(Unavailable):
    """Two units of work wanted the same rows; PostgreSQL ended this one. It was tried again before anybody heard of it."""

    title = "Somebody else is changing the same thing"

    def __init__(self) -> None:
        super().__init__("Nothing was changed by this request; send it again.", retry_after=1)


class StatementTooSlow(Unavailable):
    """A statement ran into its limit."""

    title = "The database took too long for this"

    def __init__(self) -> None:
        super().__init__("Nothing was changed. Ask for less at once, or try again when the database is less busy.")


class DatabaseDiskFull(Unavailable):
    """PostgreSQL's disk has no room."""

    title = "The disk of the database is full"

    def __init__(self) -> None:
        super().__init__(
            "Nothing was changed. Reading and predicting go on; ask the operator to make room.", retry_after=60
        )


class ValueNotStorable(Invalid):
    """PostgreSQL cannot hold the value: a NUL character in text, or a number out of range."""

    title = "A value cannot be stored"

    def __init__(self) -> None:
        super().__init__("A text holds a NUL character, or a number is out of range; send it without.")


def meaning(error: BaseException) -> Unavailable:
    """Return what a failed unit of work means, for an error that is neither a defect of ours nor of its values."""
    state = getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None
    match state:
        # deadlock, serialization failure, lock timeout
        case "40P01" | "40001" | "55P03":
            return ChangesMet()
        # statement timeout
        case "57014":
            return StatementTooSlow()
        case "53100":
            return DatabaseDiskFull()
        case _:
            return DatabaseUnavailable()
