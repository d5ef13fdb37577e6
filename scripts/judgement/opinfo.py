"""Samples of torch's own operator tests as cases; :mod:`judgement.opinfo_samples` draws them and writes their file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from onnx_triangulate import Case, Tensor

Tree = Any
AXES = "a b c d e f g"
TESTS = "torch.testing._internal.common_methods_invocations"  # private; seen in torch 2.13


def encoded(value: Any, tensors: dict[str, Any]) -> Tree:
    """An argument as JSON, its tensors by name.  Raises :class:`ValueError` where it holds anything else."""
    import torch

    if isinstance(value, torch.Tensor):
        name = f"x{len(tensors)}"
        tensors[name] = value.detach().numpy().copy()
        return {"tensor": name}
    if isinstance(value, (list, tuple)):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [encoded(v, tensors) for v in value]}
    if isinstance(value, torch.dtype):
        return {"dtype": str(value).removeprefix("torch.")}
    if isinstance(value, float):
        return {"float": repr(value)}
    if value is None or isinstance(value, (bool, int, str)):
        return {"value": value}
    raise ValueError(f"a {type(value).__name__} among the arguments")


def decoded(tree: Tree, tensors: Mapping[str, Any], torch: Any) -> Any:
    (kind, value), *_ = tree.items()
    if kind == "tensor":
        return tensors[value]
    if kind in ("list", "tuple"):
        made = [decoded(v, tensors, torch) for v in value]
        return made if kind == "list" else tuple(made)
    if kind == "dtype":
        return getattr(torch, value)
    return float(value) if kind == "float" else value


def operator(name: str, variant: str) -> Callable[..., Any]:
    """An operator of torch's tests."""
    import importlib

    tests = importlib.import_module(TESTS)
    found: Callable[..., Any] = next(o.op for o in tests.op_db if o.name == name and o.variant_test_name == variant)
    return found


def builder(about: Mapping[str, Any], names: tuple[str, ...]) -> Callable[[Any], Any]:
    def build(torch: Any) -> Any:
        function = operator(about["op"], about["variant"])

        class Net(torch.nn.Module):  # type: ignore[misc]  # the framework is an argument, its classes have no type
            def forward(self, *given: Any) -> Any:
                tensors = dict(zip(names, given, strict=True))
                arguments = [decoded(a, tensors, torch) for a in about["args"]]
                return function(*arguments, **{k: decoded(v, tensors, torch) for k, v in about["kwargs"].items()})

        return Net()

    return build


def cases(folder: Path) -> tuple[Case, ...]:
    """The cases of the samples that a folder holds."""
    found = []
    for name, about in json.loads((folder / "opinfo.json").read_text()).items():
        with np.load(folder / f"{name}.npz", allow_pickle=False) as held:
            arrays = {n: held[n] for n in held.files}
        inputs = {
            n: Tensor(" ".join(AXES.split()[: v.ndim]), v.shape, v.dtype.name, values=v) for n, v in arrays.items()
        }
        build = builder(about, tuple(arrays))
        found.append(Case(name, inputs=inputs, builders={"torch": build}, note=about["says"]))
    return tuple(found)
