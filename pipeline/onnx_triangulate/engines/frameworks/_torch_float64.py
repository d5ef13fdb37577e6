"""A PyTorch model in float64: the same program, with float32 meaning float64 throughout.

Design note.  Parameters, buffers and inputs are widened before the run, and torch's default type is float64 while it
lasts.  What names float32 all the same (``h.float()``, ``torch.arange(n, dtype=torch.float32)``, a table that a module
keeps as a plain attribute) is read as float64 where operators are dispatched, as the exported graph turned to float64
has it; a mode above that makes torch's fused layers take another path, another program.  What a type says of itself
stays float32's, for its numbers are part of the program: ``torch.finfo(x.dtype).min`` of a mask, the eps that
``rms_norm`` takes where none is given, the numbers that ``nan_to_num`` puts for infinities.

Where that is no longer the same program the run is refused:

- an operator gives float16 or bfloat16: these are the model's own roundings;
- a cast to float32 that was none in the model gives the tensor itself there, and a copy here: so does a part of a
  float32 tensor that is widened.  As long as nobody writes into either that is the same;
- a tensor is read as bits;
- ``torch.autocast`` is switched on, which narrows what is float32 and leaves what is float64.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from onnx_triangulate.engines.frameworks._torch_dispatch import takes_functions, watching
from onnx_triangulate.engines.frameworks._torch_roundings import storage_of, written


@contextlib.contextmanager
def to_float64(*, single: bool) -> Iterator[None]:
    """Compute in float64; ``single``: the model's own type is float32, which means float64 here.

    Otherwise what it computes in float32 it means so, and such a run is refused.  A model is built before this begins:
    a layer made in float64 draws other weights.
    """
    import torch
    from torch.utils._pytree import tree_leaves, tree_map

    wide = {torch.float32: torch.float64, torch.complex64: torch.complex128} if single else {}
    narrow = {torch.float32, torch.float16, torch.bfloat16} - set(wide)
    shared: set[int] = set()  # storages that stand for one here and were one with another's in the model

    def widened(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value.to(wide[value.dtype]) if value.dtype in wide else value
        return wide.get(value, value) if isinstance(value, torch.dtype) else value

    def run(func: Any, args: Any, kwargs: Any) -> Any:
        kwargs = dict(kwargs)
        if takes_functions(func):  # what runs inside is looked at itself
            called = tree_map(widened, (args, kwargs))
            return tree_map(widened, func(*called[0], **called[1]))
        name = func._schema.name
        if wide:
            if any(t.dtype in wide or storage_of(t) in shared for t in written(func, args, kwargs)):
                raise _refused(func, "writes into a float32 tensor, of which there is a copy")
            if name == "aten::view" and "dtype" in func._overloadname:
                raise _refused(func, "reads numbers as bits")
            if name.removesuffix("_") == "aten::nan_to_num":
                args, kwargs = _with_limits(args, kwargs)
        given = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        called = tree_map(widened, (args, kwargs))
        made = func(*called[0], **called[1])
        result = tree_map(widened, made)
        results = [t for t in tree_leaves(result) if isinstance(t, torch.Tensor)]
        for tensor in results:
            # No TypeError: an operator that raises one is taken by Python for one that there is not.
            if tensor.dtype in narrow and tensor.dim():
                raise _refused(func, f"gives {tensor.dtype}")
        if not wide:
            return result
        # What is none of the arguments' is new, and may lie where something lay that is gone.
        shared.difference_update({storage_of(t) for t in results} - {storage_of(t) for t in given})
        if name == "aten::_to_copy" and kwargs.get("dtype") in wide and given[0].dtype == wide[kwargs["dtype"]]:
            shared.update((storage_of(given[0]), storage_of(result)))
        elif func.is_view and name != "aten::lift_fresh" and any(t.dtype in wide for t in given):
            shared.update(storage_of(t) for t in results)
        return result

    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with watching(run), _as_single() if single else contextlib.nullcontext():
            yield
    finally:
        torch.set_default_dtype(usual)


def _refused(func: Any, why: str) -> RuntimeError:
    return RuntimeError(f"{func} {why} in a float64 run: this model is not float64 inside")


def _with_limits(args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The arguments of ``nan_to_num`` with float32's largest numbers where none are given."""
    import torch

    limits = torch.finfo(torch.float32)
    places = {"nan": 0.0, "posinf": limits.max, "neginf": limits.min}
    given = {**dict(zip(places, args[1:], strict=False)), **{n: v for n, v in kwargs.items() if n in places}}
    said = {name: usual if given.get(name) is None else given[name] for name, usual in places.items()}
    return args[:1], {**{n: v for n, v in kwargs.items() if n not in places}, **said}


@contextlib.contextmanager
def _as_single() -> Iterator[None]:
    """Let the public names by which a program learns of its type's limits speak of float32 where it is float64, and
    refuse what asks whether a type is float32 (autocast; its flag is private, seen in torch 2.13.0)."""
    import torch

    limits: Callable[..., Any] = torch.finfo
    rms_norm = torch.rms_norm

    def finfo(dtype: Any = None) -> Any:
        return limits(torch.float32 if dtype in (None, torch.float64) else dtype)

    def with_eps(input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Any:
        single = input.dtype == torch.float64 and eps is None
        return rms_norm(input, normalized_shape, weight, limits(torch.float32).eps if single else eps)

    enter = torch.autocast.__enter__

    def entered(own: Any) -> Any:
        if getattr(own, "_enabled", True):
            raise _refused("torch.autocast", "leaves float64 as it is")
        return enter(own)

    torch.finfo, torch.rms_norm, torch.autocast.__enter__ = finfo, with_eps, entered
    try:
        yield
    finally:
        torch.finfo, torch.rms_norm, torch.autocast.__enter__ = limits, rms_norm, enter
