"""Read the tensors of a checkpoint in PyTorch's first file format, without PyTorch.

Format (torch/serialization.py, `_legacy_save`): pickles of a magic number, the protocol, the writing system and the
object, a pickle of the storages' keys, then each storage as an int64 count and raw little-endian values. Only the
names that a plain state dict needs are resolved, so that no code of the file's choice can run.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_TYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


class _Tensor(NamedTuple):
    """A tensor before its storage is read; offset and strides count values, not bytes."""

    storage: tuple[str, str]  # (key, type)
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _StateDictUnpickler(pickle.Unpickler):
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


def read_state_dict(path: Path) -> dict[str, np.ndarray]:
    """Name -> values (float32 or int64, in C order) of a state dict.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is cut short, or holds anything but a plain state dict.
    """
    with path.open("rb") as file:
        try:
            magic, protocol, _, tensors, keys = (_StateDictUnpickler(file).load() for _ in range(5))
            if (magic, protocol) != (_MAGIC, _PROTOCOL):
                raise ValueError("its first bytes are not those of the format")
            types = dict(tensor.storage for tensor in tensors.values())
            storages = {}
            for key in keys:
                count = int.from_bytes(file.read(8), "little")
                dtype = np.dtype(types[key])
                storages[key] = np.frombuffer(file.read(count * dtype.itemsize), dtype, count)
            return {name: _values(tensor, storages[tensor.storage[0]]) for name, tensor in tensors.items()}
        except (pickle.UnpicklingError, EOFError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"it is not a plain PyTorch checkpoint ({error})") from error


def _values(tensor: _Tensor, storage: np.ndarray) -> np.ndarray:
    last = tensor.offset + sum((side - 1) * step for side, step in zip(tensor.shape, tensor.strides, strict=True))
    if min(tensor.offset, *tensor.shape, *tensor.strides, 0) < 0 or (0 not in tensor.shape and last >= len(storage)):
        raise ValueError("a tensor lies outside its storage")
    strides = [step * storage.itemsize for step in tensor.strides]
    view = np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.shape, strides, writeable=False)
    return np.ascontiguousarray(view).reshape(tensor.shape)
