"""What a model returned, brought to the names the case promised; shared by the adapters, knows no framework."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from onnx_triangulate.records.case import Absent, Case


def kind_of(value: object) -> str:
    """The type of what somebody gave, with its article."""
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def raised(framework: str, error: Exception, says: str) -> BuilderError:
    """What a builder raised; of a package that is not there also how to get it."""
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    remedy = f": .venv/bin/pip install -c constraints.txt {missing.partition('.')[0]}" if missing else ""
    return BuilderError(f"{framework}: the builder raised {says}{remedy}")


class BuilderError(Exception):
    """The case's builder raised, or its model returned something else than the case promises."""


def computes_float64(case: Case) -> bool:
    """Whether a case's own precision is float64."""
    dtypes = {np.dtype(tensor.dtype) for tensor in case.inputs.values()}
    return np.dtype("float64") in dtypes and np.dtype("float32") not in dtypes


def forward_outputs(case: Case) -> tuple[str, ...]:
    """The names of what the forward model returns: the case's outputs without the gradients."""
    gradients = {f"grad_{name}" for name in case.gradient.wrt} if case.gradient else set()
    absent = {n for n, t in case.outputs.items() if isinstance(t, Absent) and n.startswith("grad_")}
    return tuple(name for name in case.outputs if name not in gradients | absent)


def named(case: Case, framework: str, returned: Any) -> dict[str, Any]:
    """The model's results by name.

    Without promised outputs they are called ``y``, or ``y0``, ``y1`` … in order, mappings by their keys, nested
    structures flattened in order with their path as name (``y1_0``).  Raises :class:`BuilderError` where names or their
    number are not those promised, and where two values come to one name: one of them would never be compared.
    """
    promised = forward_outputs(case)
    if not promised:
        return _by_path(framework, returned)
    plain = isinstance(returned, (tuple, list)) and not hasattr(returned, "_fields")
    if plain and not any(_inner(item) for item in returned):
        items = tuple(returned)
    elif _inner(returned) is None:
        items = (returned,)
    else:
        pairs = _flatten("y", returned, whole=True)
        flat = dict(pairs)
        if len(flat) == len(pairs) and set(flat) == set(promised):
            return {name: flat[name] for name in promised}
        if not (isinstance(returned, (tuple, list)) and len(pairs) == len(promised)):
            raise BuilderError(f"{framework}: the model returned {sorted(flat)}, the case promises {sorted(promised)}")
        items = tuple(value for _, value in pairs)
    if len(items) != len(promised):
        raise BuilderError(
            f"{framework}: the model returned {len(items)} values, the case promises {', '.join(promised)}"
        )
    return dict(zip(promised, items, strict=True))


def _by_path(framework: str, returned: Any) -> dict[str, Any]:
    """The model's results by their paths, where nobody promised names."""
    pairs = _flatten("y", returned)
    flat = dict(pairs)
    if not flat:
        raise BuilderError(f"{framework}: the model returned no array")
    if len(flat) < len(pairs):
        twice = sorted({name for name, _ in pairs if sum(name == other for other, _ in pairs) > 1})
        raise BuilderError(f"{framework}: the model returned two values named {', '.join(twice)}; promise outputs")
    return flat


def _inner(value: Any) -> list[tuple[str, Any]] | None:
    """What a structure holds, by name or place; None for what is no structure."""
    if isinstance(value, Mapping):
        return [(str(key), item) for key, item in value.items()]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return list(zip(value._fields, value, strict=True))
    if isinstance(value, (tuple, list)):
        return [(str(place), item) for place, item in enumerate(value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    return None


def _flatten(path: str, value: Any, *, whole: bool = False) -> list[tuple[str, Any]]:
    """Every array with its path as name; the path of what the model returned is ``y``.

    A field that holds nothing is left out: a structure of optional results has many.
    """
    if value is None:
        return []
    inner = _inner(value)
    if inner is None:
        return [(path, value)]
    if path == "y" and isinstance(value, (tuple, list)) and len(value) == 1 and not whole:
        return _flatten("y", value[0])
    numbered = isinstance(value, (tuple, list)) and not hasattr(value, "_fields")
    return [
        pair
        for key, item in inner
        for pair in _flatten((f"y{key}" if numbered else key) if path == "y" else f"{path}_{key}", item)
    ]
