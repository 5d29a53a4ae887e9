"""Step over the raw array bytes that joblib writes between pickle instructions."""

from dataclasses import dataclass
from math import prod
from typing import IO, Any


@dataclass(frozen=True)
class ArrayWrapper:
    """What joblib's NumpyArrayWrapper says about the array that follows it."""

    shape: tuple[int, ...]
    item_bytes: int
    aligned: bool
    holds_objects: bool

    @classmethod
    def of(cls, state: Any) -> "ArrayWrapper":
        """Read the wrapper's pickled state as the walk sees it. Raises ValueError or TypeError when a field is not plain."""
        import numpy as np

        if not isinstance(state, dict):
            raise TypeError
        shape, dtype = state["shape"], state["dtype"]
        if not isinstance(shape, tuple) or not all(isinstance(size, int) and size >= 0 for size in shape):
            raise ValueError
        if str(dtype.by) != "numpy.dtype" or not isinstance(dtype.arguments[0], str):
            raise ValueError
        described = np.dtype(dtype.arguments[0])
        alignment = state.get("numpy_array_alignment_bytes")
        if alignment is not None and not isinstance(alignment, int):
            raise ValueError
        # A structured type is pickled as an opaque "V<size>"; joblib reads objects only from a plain object array.
        return cls(shape, described.itemsize, alignment is not None, described.hasobject)


def skip_array(stream: IO[bytes], wrapper: ArrayWrapper) -> None:
    """Move the stream past the array. Raises ValueError when the file ends before the array does."""
    if wrapper.aligned:
        # One byte holds the padding's length, then the padding.
        padding = stream.read(1)
        stream.seek(padding[0], 1)
    size = prod(wrapper.shape) * wrapper.item_bytes
    before = stream.tell()
    end = stream.seek(0, 2)
    if before + size > end:
        raise ValueError
    stream.seek(before + size)
