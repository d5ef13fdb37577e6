"""Seeded arrays for a case's inputs and parameters.

Every tensor has a generator of its own, seeded by (seed, case, tensor), so that neither the order of the cases nor the
addition of one changes the numbers of another.  Small integers are the default: with them most arithmetic is exact in
float32 whatever the order of summation, and a difference is a matter of meaning.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.data import Array, Case, Each, Tensor, UnusableInput


def draw(tensor: Tensor, *, seed: int, case: str, name: str) -> Array:
    """The values of ``tensor``, in its own axes.  Raises :class:`UnusableInput` where it contradicts itself."""
    rank = len(tensor.axes.split())
    try:
        dtype = np.dtype(tensor.dtype)
    except TypeError as error:
        raise UnusableInput(f"{case}: {name} is declared {tensor.dtype!r}, which is no type of numpy's") from error
    if tensor.values is not None:
        array = _given(tensor, dtype, f"{case}: {name}")
        if array.ndim != rank:
            raise UnusableInput(f"{case}: {name} has {array.ndim} axes of values, its axes {tensor.axes!r} name {rank}")
        if tensor.shape is not None and array.shape != tuple(tensor.shape):
            raise UnusableInput(f"{case}: {name} has values of shape {array.shape}, its shape says {tensor.shape}")
        return array
    if tensor.shape is None:
        raise UnusableInput(f"{case}: {name} has neither a shape nor values: give Tensor(..., shape=(2, 3))")
    if len(tensor.shape) != rank:
        raise UnusableInput(f"{case}: {name} has shape {tensor.shape}, its axes {tensor.axes!r} name {rank}")
    if not (math.isfinite(tensor.low) and math.isfinite(tensor.high) and tensor.low < tensor.high):
        raise UnusableInput(f"{case}: {name} draws from [{tensor.low}, {tensor.high}): nothing lies there")
    whole = tensor.integers or dtype.kind in "iu"
    if whole and dtype.kind != "b" and not int(tensor.low) < int(tensor.high):
        raise UnusableInput(f"{case}: {name} draws integers from [{tensor.low}, {tensor.high}): none lies there")
    if dtype.kind in "iu" and not np.iinfo(dtype).min <= int(tensor.low) < int(tensor.high) <= np.iinfo(dtype).max + 1:
        raise UnusableInput(f"{case}: {name} draws from [{tensor.low}, {tensor.high}), more than {dtype} holds")
    digest = hashlib.sha256(f"{case}\0{name}".encode()).digest()
    generator = np.random.default_rng([seed, int.from_bytes(digest[:8], "little")])
    if dtype.kind == "b":
        return generator.integers(0, 2, tensor.shape).astype(bool)
    if whole:
        kind = np.uint64 if dtype == np.uint64 else np.int64
        return generator.integers(int(tensor.low), int(tensor.high), tensor.shape, dtype=kind).astype(dtype)
    return np.asarray(generator.uniform(tensor.low, tensor.high, tensor.shape)).astype(dtype)


def _given(tensor: Tensor, dtype: np.dtype[Any], where: str) -> Array:
    """The values that a tensor fixes; a float may be rounded to its type, nothing else may change."""
    try:
        given = np.asarray(tensor.values)
        with np.errstate(all="ignore"):
            array = given.astype(dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise UnusableInput(f"{where} has values that make no array of {dtype}: {error}") from error
    if dtype.kind in "iub" and not np.array_equal(given, array):
        raise UnusableInput(f"{where} has values that {dtype} does not hold")
    return array


def inputs_of(case: Case, name: str, seed: int) -> dict[str, Array]:
    """The case's inputs by name, in its own axes; ``name`` is its full name."""
    return {key: draw(tensor, seed=seed, case=name, name=key) for key, tensor in case.inputs.items()}


def examples_of(case: Case, name: str, seed: int) -> dict[str, Array]:
    """Other inputs of the same shapes and types: drawn from another seed, or fixed values moved on by one place.

    A single fixed float has no other place and becomes another number.
    """
    others = {}
    for key, tensor in case.inputs.items():
        if tensor.values is None:
            others[key] = draw(tensor, seed=seed, case=f"{name}\0example", name=key)
            continue
        fixed = draw(tensor, seed=seed, case=name, name=key)
        rolled = np.roll(fixed.reshape(-1), 1).reshape(fixed.shape)
        others[key] = rolled + 1 if fixed.dtype.kind == "f" and fixed.size == 1 else rolled
        others[key] = np.asarray(others[key], dtype=fixed.dtype)
    return others


def fingerprint(case: Case, name: str, seed: int) -> str:
    """A digest of every number the case gives: its inputs, and its parameters for each framework."""
    digest = hashlib.sha256()
    given = [inputs_of(case, name, seed), *[parameters_of(case, name, f, seed) for f in sorted(case.builders)]]
    for values in given:
        for key, value in values.items():
            digest.update(key.encode("utf-8", "surrogatepass"))
            digest.update(
                np.ascontiguousarray(value).tobytes() if isinstance(value, np.ndarray) else repr(value).encode()
            )
    return digest.hexdigest()


def nan_fed(case: Case, name: str, seed: int) -> bool:
    """Whether any input holds a NaN."""
    return any(v.dtype.kind == "f" and bool(np.isnan(v).any()) for v in inputs_of(case, name, seed).values())


def specs_of(case: Case, framework: str) -> dict[str, Any]:
    """The case's parameters as declared for ``framework``: a :class:`Tensor` or a plain value each.

    Raises :class:`UnusableInput` where a parameter that differs by framework says nothing of this one.
    """
    chosen: dict[str, Any] = {}
    for key, value in case.parameters.items():
        if isinstance(value, Each):
            if framework not in value.values:
                raise UnusableInput(
                    f"{case.name}: parameter {key} says nothing of {framework}: give Each({framework}=…)"
                )
            value = value.values[framework]
        chosen[key] = value
    return chosen


def parameters_of(case: Case, name: str, framework: str, seed: int) -> dict[str, Any]:
    """The case's parameters for ``framework``, arrays drawn, other values as they are.

    A parameter drawn for two frameworks by equal Tensors has equal numbers in both.
    """
    return {
        key: draw(spec, seed=seed, case=name, name=key) if isinstance(spec, Tensor) else spec
        for key, spec in specs_of(case, framework).items()
    }


def differing(case: Case) -> tuple[str, ...]:
    """The names of the parameters that are not the same for every framework."""
    return tuple(
        key
        for key, value in case.parameters.items()
        if isinstance(value, Each) and len({_identity(v) for v in value.values.values()}) > 1
    )


def _identity(value: Any) -> object:
    """What tells a parameter's value from another; an array's ``repr`` leaves out its middle."""
    if isinstance(value, Tensor):
        return repr(replace(value, values=None)), _identity(value.values)
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    return repr(value)


def forward_inputs(case: Case) -> Mapping[str, Tensor]:
    """The inputs without the cotangent: what the forward model takes, in order."""
    cotangent = case.gradient.cotangent if case.gradient else None
    return {key: tensor for key, tensor in case.inputs.items() if key != cotangent}
