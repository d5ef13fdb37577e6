"""What a model returned, brought to the names the case promised; shared by the adapters, knows no framework."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.data import Absent, Case


class BuilderError(Exception):
    """The case's builder raised, or its model returned something else than the case promises."""


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
        pairs = _flatten("y", returned)
        flat = dict(pairs)
        if not flat:
            raise BuilderError(f"{framework}: the model returned no array")
        if len(flat) < len(pairs):
            twice = sorted({name for name, _ in pairs if sum(name == other for other, _ in pairs) > 1})
            raise BuilderError(f"{framework}: the model returned two values named {', '.join(twice)}; promise outputs")
        return flat
    if isinstance(returned, Mapping):
        if set(returned) != set(promised):
            raise BuilderError(
                f"{framework}: the model returned {sorted(returned)}, the case promises {sorted(promised)}"
            )
        return {name: returned[name] for name in promised}
    items = tuple(returned) if isinstance(returned, (tuple, list)) else (returned,)
    if len(items) != len(promised):
        raise BuilderError(
            f"{framework}: the model returned {len(items)} values, the case promises {', '.join(promised)}"
        )
    return dict(zip(promised, items, strict=True))


def _flatten(path: str, value: Any) -> list[tuple[str, Any]]:
    """Every array with its path as name; the path of what the model returned is ``y``."""
    if value is None:
        return []
    if isinstance(value, Mapping):
        inner = [(str(key) if path == "y" else f"{path}_{key}", item) for key, item in value.items()]
    elif isinstance(value, (tuple, list)):
        if path == "y" and len(value) == 1:
            return _flatten("y", value[0])
        inner = [(f"y{i}" if path == "y" else f"{path}_{i}", item) for i, item in enumerate(value)]
    else:
        return [(path, value)]
    return [pair for name, item in inner for pair in _flatten(name, item)]
