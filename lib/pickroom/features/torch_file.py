"""Read the tensors of a PyTorch file, without PyTorch and without running code of the file's choice.

Formats (torch/serialization.py): `_legacy_save` writes pickles of a magic number, the protocol, the writing system and
the object, a pickle of the storages' keys, then each storage as an int64 count and raw little-endian values; `_save`
writes a zip of `data.pkl` and one file per storage, `data/<key>`. Only names that plain tensors need are resolved.
"""

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_TYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}
_DAMAGED = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    EOFError,
    AttributeError,
    IndexError,
    KeyError,
    NotImplementedError,  # a zip's compression that Python does not have
    RecursionError,
    TypeError,
    ValueError,
)


class _TensorUnpickler(pickle.Unpickler):
    """Builds plain tensors as arrays, and nothing else that is not a container, a number or a text.

    Args:
        storage: gives the values of a key, which have a type.
        tensor: makes a tensor of its storage, offset, shape and strides; the last three count values, not bytes.
    """

    def __init__(self, file: BinaryIO, storage: Callable[[str, str], Any], tensor: Callable[..., Any]) -> None:
        super().__init__(file)
        self._storage, self._tensor = storage, tensor

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: self._tensor(storage, offset, shape, strides)
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        raise pickle.UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        _, kind, key, *_ = pid
        return self._storage(key, kind)


def read_tensors(file: BinaryIO) -> Any:
    """The object of a PyTorch file, its tensors as arrays (float32 or int64, in C order).

    Raises:
        OSError: the file cannot be read.
        ValueError: it is cut short, or holds anything but containers, numbers, texts and plain tensors.
    """
    try:
        read = _read_zip if file.read(4) == b"PK\x03\x04" else _read_legacy
        file.seek(0)
        return read(file)
    except _DAMAGED as error:
        raise ValueError(f"it is not a plain PyTorch checkpoint ({error})") from error


def read_state_dict(path: Path) -> dict[str, np.ndarray]:
    """Name -> values of a state dict; raises OSError and ValueError as `read_tensors` does."""
    with path.open("rb") as file:
        values = read_tensors(file)
    if not isinstance(values, dict) or not all(isinstance(value, np.ndarray) for value in values.values()):
        raise ValueError("it holds more than a state dict")
    return values


def _read_legacy(file: BinaryIO) -> Any:
    types: dict[str, str] = {}

    def load() -> Any:
        return _TensorUnpickler(file, types.__setitem__, lambda *_: None).load()

    magic, protocol, _ = load(), load(), load()
    if (magic, protocol) != (_MAGIC, _PROTOCOL):
        raise ValueError("its first bytes are not those of the format")
    start = file.tell()
    load()  # for the types: the storages come behind
    storages = {}
    for key in load():
        count, dtype = int.from_bytes(file.read(8), "little"), np.dtype(types[key])
        storages[key] = np.frombuffer(file.read(count * dtype.itemsize), dtype, count)
    file.seek(start)
    return _TensorUnpickler(file, lambda key, _: storages[key], _array).load()


def _read_zip(file: BinaryIO) -> Any:
    with zipfile.ZipFile(file) as archive:
        (listed,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        folder = listed.removesuffix(".pkl")

        @cache
        def storage(key: str, kind: str) -> np.ndarray:
            return np.frombuffer(archive.read(f"{folder}/{key}"), kind)

        return _TensorUnpickler(io.BytesIO(archive.read(listed)), storage, _array).load()


def _array(storage: np.ndarray, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray:
    last = offset + sum((side - 1) * step for side, step in zip(shape, strides, strict=True))
    if min(offset, *shape, *strides, 0) < 0 or (0 not in shape and last >= len(storage)):
        raise ValueError("a tensor lies outside its storage")
    steps = [step * storage.itemsize for step in strides]
    view = np.lib.stride_tricks.as_strided(storage[offset:], shape, steps, writeable=False)
    return np.ascontiguousarray(view).reshape(shape)
