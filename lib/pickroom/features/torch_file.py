"""Read the tensors of a PyTorch file, without PyTorch and without running code of the file's choice.

Formats (torch/serialization.py): `_legacy_save` writes pickles of a magic number, the protocol, the writing system and
the object, a pickle of the storages' keys, then each storage as an int64 count and raw little-endian values; `_save`
writes a zip of `data.pkl` and one file per storage, `data/<key>`. Only names that plain tensors need are resolved.
"""

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

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


class _Tensor(NamedTuple):
    """A tensor before its storage is read; offset and strides count values, not bytes."""

    storage: tuple[str, str]  # (key, type)
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _TensorUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: _Tensor(storage, offset, tuple(shape), tuple(strides))
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        raise pickle.UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, pid: Any) -> tuple[str, str]:
        _, kind, key, *_ = pid
        return key, kind


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
    magic, protocol, _, found, keys = (_TensorUnpickler(file).load() for _ in range(5))
    if (magic, protocol) != (_MAGIC, _PROTOCOL):
        raise ValueError("its first bytes are not those of the format")
    types = dict(tensor.storage for tensor in _tensors(found))
    storages = {}
    for key in keys:
        count, dtype = int.from_bytes(file.read(8), "little"), np.dtype(types[key])
        storages[key] = np.frombuffer(file.read(count * dtype.itemsize), dtype, count)
    return _filled(found, storages)


def _read_zip(file: BinaryIO) -> Any:
    with zipfile.ZipFile(file) as archive:
        (listed,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        found = _TensorUnpickler(io.BytesIO(archive.read(listed))).load()
        types = dict(tensor.storage for tensor in _tensors(found))
        folder = listed.removesuffix(".pkl")
        return _filled(found, {key: np.frombuffer(archive.read(f"{folder}/{key}"), t) for key, t in types.items()})


def _tensors(values: Any) -> list[_Tensor]:
    """Every tensor in nested containers."""
    if isinstance(values, _Tensor):
        return [values]
    inside = values.values() if isinstance(values, dict) else values if isinstance(values, list | tuple) else ()
    return [tensor for value in inside for tensor in _tensors(value)]


def _filled(values: Any, storages: dict[str, np.ndarray]) -> Any:
    """The same containers, each tensor as an array."""
    if isinstance(values, _Tensor):
        return _array(values, storages[values.storage[0]])
    if isinstance(values, dict):
        return {key: _filled(value, storages) for key, value in values.items()}
    return [_filled(value, storages) for value in values] if isinstance(values, list | tuple) else values


def _array(tensor: _Tensor, storage: np.ndarray) -> np.ndarray:
    last = tensor.offset + sum((side - 1) * step for side, step in zip(tensor.shape, tensor.strides, strict=True))
    if min(tensor.offset, *tensor.shape, *tensor.strides, 0) < 0 or (0 not in tensor.shape and last >= len(storage)):
        raise ValueError("a tensor lies outside its storage")
    strides = [step * storage.itemsize for step in tensor.strides]
    view = np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.shape, strides, writeable=False)
    return np.ascontiguousarray(view).reshape(tensor.shape)
