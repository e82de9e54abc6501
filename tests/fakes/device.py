"""A device that is not the CPU, where there is none: tensors that compute on the CPU and will not mix with its own.

Within `elsewhere()`, what is moved to or made on `DEVICE` lives there. As with an accelerator, an operation on tensors
of both devices is an error (but for numbers without a dimension, indices and copies), numpy cannot read them, and
whoever wants a value of one waits for the device; `syncs` counts how often.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map

DEVICE = torch.device("meta")  # a name that torch knows everywhere
_COPIES = {torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default}
_INDEXING = {torch.ops.aten.index.Tensor, torch.ops.aten.index_put_.default, torch.ops.aten.index_put.default}
_VALUES = {torch.ops.aten._local_scalar_dense.default, torch.ops.aten.equal.default, torch.ops.aten.is_nonzero.default}
_SIZED_BY_VALUES = {torch.ops.aten.nonzero.default, torch.ops.aten.unique_dim.default, torch.ops.aten._unique2.default}


class _There(torch.Tensor):
    """A tensor of the device; `inner` is what it holds."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> _There:
        made: _There = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=DEVICE,
        )
        made.inner = inner
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError("a tensor of the device was used outside of `elsewhere`")


class Elsewhere(TorchDispatchMode):
    """What every operation passes through; `syncs` counts those that wait for a value."""

    def __init__(self) -> None:
        super().__init__()
        self.syncs = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        tensors = [leaf for leaf in tree_flatten((args, kwargs))[0] if isinstance(leaf, Tensor)]
        there = [t for t in tensors if isinstance(t, _There)]
        target = kwargs.get("device")
        if target is not None and torch.device(target) == DEVICE:
            kwargs["device"] = torch.device("cpu")
        if func in _COPIES:
            to_there = func is torch.ops.aten.copy_.default and isinstance(args[0], _There)
            stays = bool(there) if target is None else torch.device(target) == DEVICE
            self.syncs += bool(there) and not (to_there or stays)
            out = func(*tree_map(_inner, args), **kwargs)
            if func is torch.ops.aten.copy_.default:
                return args[0]
            return _There(out) if stays else out
        if not there:
            out = func(*args, **kwargs)
            return _wrapped(out) if target is not None and torch.device(target) == DEVICE else out
        here = [t for t in tensors if not isinstance(t, _There) and t.dim()]
        if here and not (func in _INDEXING and isinstance(args[0], _There)):
            raise RuntimeError(f"{func}: tensors on two devices")
        by_mask = func in _INDEXING and any(t.dtype == torch.bool for t in tree_flatten(args[1])[0] if t is not None)
        self.syncs += func in _VALUES or func in _SIZED_BY_VALUES or by_mask
        out = func(*tree_map(_inner, args), **tree_map(_inner, kwargs))
        return return_and_correct_aliasing(func, args, kwargs, _wrapped(out))


class _Lists(TorchFunctionMode):
    """Between tensors and Python's lists, which torch translates itself only for devices that it has."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.tensor and kwargs.get("device") is not None and torch.device(kwargs["device"]) == DEVICE:
            return func(*args, **{**kwargs, "device": "cpu"}).to(DEVICE)
        if func is torch.Tensor.tolist and isinstance(args[0], _There):
            return args[0].cpu().tolist()
        if func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__) and isinstance(args[0], _There):
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            listed = tuple(torch.tensor(one, dtype=torch.long) if isinstance(one, list) else one for one in index)
            args = (args[0], listed, *args[2:])
        return func(*args, **kwargs)


@contextmanager
def elsewhere() -> Iterator[Elsewhere]:
    """The device is there while this lasts."""
    with _Lists(), Elsewhere() as device:
        yield device


def _inner(value: Any) -> Any:
    return value.inner if isinstance(value, _There) else value


def _wrapped(out: Any) -> Any:
    return tree_map(lambda value: _There(value) if isinstance(value, Tensor) else value, out)
