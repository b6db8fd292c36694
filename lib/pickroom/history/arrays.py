"""NumPy and Arrow arrays into each other by their buffers.

`pa.array`, `to_numpy`, and plain values given to compute functions, all make PyArrow import pandas first, which takes
a second: as long as 100,000 rows.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

_KINDS = {"i": (pa.int64(), np.int64), "f": (pa.float64(), np.float64)}


def to_arrow(values: np.ndarray) -> pa.Array:
    """An array (N,) of bool, integers or floats as an Arrow array of bool, int64 or float64."""
    if values.dtype == bool:
        bits = np.packbits(values, bitorder="little").tobytes()
        return pa.Array.from_buffers(pa.bool_(), len(values), [None, pa.py_buffer(bits)])
    kind, dtype = _KINDS[values.dtype.kind]
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values.astype(dtype).tobytes())])


def to_numpy(values: pa.Array) -> np.ndarray:
    """An Arrow array (N,) of bool, int32, int64 or float64, without nulls, as a NumPy one."""
    data = values.buffers()[1]
    if data is None or not len(values):
        return np.empty(0, dtype=bool if values.type == pa.bool_() else str(values.type).replace("double", "float64"))
    if values.type == pa.bool_():
        end = values.offset + len(values)
        bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8), count=end, bitorder="little")
        return bits[values.offset :].astype(bool)
    dtype = np.float64 if values.type == pa.float64() else np.dtype(str(values.type))
    return np.frombuffer(data, dtype=dtype, count=len(values), offset=values.offset * np.dtype(dtype).itemsize)


def text(value: str) -> pa.Scalar:
    """A text as an Arrow scalar."""
    data = value.encode()
    offsets = np.array([0, len(data)], dtype=np.int32).tobytes()
    return pa.StringArray.from_buffers(1, pa.py_buffer(offsets), pa.py_buffer(data))[0]
