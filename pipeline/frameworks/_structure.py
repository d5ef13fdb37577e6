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
    structures flattened in order with their path as name.  Raises :class:`BuilderError` where names or their number
    are not those promised.
    """
    promised = forward_outputs(case)
    if not promised:
        flat = dict(_flatten("y", returned))
        if not flat:
            raise BuilderError(f"{framework}: the model returned no array")
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


def _flatten(name: str, value: Any) -> list[tuple[str, Any]]:
    if value is None:
        return []
    if isinstance(value, Mapping):
        return [
            pair for key, item in value.items() for pair in _flatten(f"{name}_{key}" if name != "y" else str(key), item)
        ]
    if isinstance(value, (tuple, list)):
        if name == "y" and len(value) == 1:
            return _flatten("y", value[0])
        return [pair for i, item in enumerate(value) for pair in _flatten(f"{name}{i}", item)]
    return [(name, value)]
