"""Which requests may be answered by one call with others: those whose rows make one table that none of them changes."""

from collections.abc import Mapping, Sequence
from typing import Any

from model_server.bundle import InputColumn, Parameter
from model_server.contract.decoder import Row


class Joining:
    """How far requests of one model are joined. Rows were checked against its inputs, so they have the same columns."""

    def __init__(self, most_rows: int, inputs: Sequence[InputColumn], params: Sequence[Parameter]) -> None:
        """`most_rows`: what the bundle states; 0 joins none."""
        self.most_rows = 0 if has_open_axis(inputs) else most_rows
        self._defaults = {parameter.name: parameter.default for parameter in params}
        self._categories = [
            (place, frozenset(column.categories))
            for place, column in enumerate(inputs)
            if column.categories is not None
        ]

    def may(self, rows: Sequence[Row], params: Mapping[str, Any] | None) -> bool:
        """Return whether these rows may stand beside another request's: not with params of their own, and not where a value
        that is no category adds one to everybody's column.
        """
        if not 0 < len(rows) <= self.most_rows or (params and dict(params) != self._defaults):
            return False
        return all(row[place] is None or row[place] in known for place, known in self._categories for row in rows)


def has_open_axis(inputs: Sequence[InputColumn]) -> bool:
    """Return whether rows may be tensors of different lengths, which are no one tensor."""
    return any(column.type == "tensor" and column.spec and -1 in column.spec["shape"] for column in inputs)
