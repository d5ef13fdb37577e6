"""Seeded arrays for a case's inputs and parameters.

Every tensor has a generator of its own, seeded by (seed, case, tensor), so that neither the order of the cases nor the
addition of one changes the numbers of another.  Small integers are the default: with them most arithmetic is exact in
float32 whatever the order of summation, and a difference is a matter of meaning.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from onnx_triangulate.records import npz
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.case import Absent, Case, Each, Tensor, Truth
from onnx_triangulate.records.errors import UnusableInput

MOST = 1 << 30  # bytes of a file of inputs, unpacked: every worker holds them several times over


def defined(truth: Truth, values: Mapping[str, Any]) -> Any:
    """What a definition gives for inputs and parameters by name; numpy's own functions (``np.hypot``) take no names."""
    return truth(*values.values()) if isinstance(truth, np.ufunc) else truth(**values)


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
    for problem in _undrawable(tensor, dtype):
        raise UnusableInput(f"{case}: {name} {problem}")
    assert tensor.shape is not None
    digest = hashlib.sha256(f"{case}\0{name}".encode()).digest()
    generator = np.random.default_rng([seed, int.from_bytes(digest[:8], "little")])
    if dtype.kind == "b":
        return generator.integers(0, 2, tensor.shape).astype(bool)
    if tensor.integers or dtype.kind in "iu":
        kind = np.uint64 if dtype == np.uint64 else np.int64
        return generator.integers(int(tensor.low), int(tensor.high), tensor.shape, dtype=kind).astype(dtype)
    return np.asarray(generator.uniform(tensor.low, tensor.high, tensor.shape)).astype(dtype)


def _undrawable(tensor: Tensor, dtype: np.dtype[Any]) -> Iterator[str]:
    """What is wrong with the shape and the range from which a tensor is drawn."""
    rank, span = len(tensor.axes.split()), f"[{tensor.low}, {tensor.high})"
    if tensor.shape is None:
        yield "has neither a shape nor values: give Tensor(..., shape=(2, 3))"
    elif len(tensor.shape) != rank:
        yield f"has shape {tensor.shape}, its axes {tensor.axes!r} name {rank}"
    if not (math.isfinite(tensor.low) and math.isfinite(tensor.high) and tensor.low < tensor.high):
        yield f"draws from {span}: nothing lies there"
    low, high = int(tensor.low), int(tensor.high)
    if (tensor.integers or dtype.kind in "iu") and dtype.kind != "b" and not low < high:
        yield f"draws integers from {span}: none lies there"
    if dtype.kind in "iu" and not np.iinfo(dtype).min <= low < high <= np.iinfo(dtype).max + 1:
        yield f"draws from {span}, more than {dtype} holds"


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


def at(case: Case, sizes: Mapping[str, int]) -> Case:
    """The case with its dynamic axes at other sizes; fixed values are cut, or repeated from their beginning."""
    if not sizes:
        return case
    return replace(
        case,
        inputs={name: _resized(tensor, sizes) for name, tensor in case.inputs.items()},
        outputs={n: t if isinstance(t, Absent) else _resized(t, sizes) for n, t in case.outputs.items()},
    )


def _resized(tensor: Tensor, sizes: Mapping[str, int]) -> Tensor:
    axes = tensor.axes.split()
    if not set(axes) & set(sizes):
        return tensor
    values = tensor.values
    if values is not None:
        values = np.asarray(values)
        for place, axis in enumerate(axes[: values.ndim]):
            if axis in sizes and values.shape[place]:
                values = np.take(values, np.arange(sizes[axis]) % values.shape[place], axis=place)
    shape = tensor.shape
    if shape is not None:
        shape = tuple(sizes.get(axis, size) for axis, size in zip(axes, shape, strict=True))
    return replace(tensor, shape=shape, values=values)


def variants(case: Case) -> tuple[tuple[tuple[str, int], ...], ...]:
    """The sizes of the dynamic axes at which the case is judged besides the declared ones."""
    return tuple(tuple(zip(case.dynamic, sizes, strict=True)) for sizes in zip(*case.dynamic.values(), strict=True))


def fed_from(case: Case, file: Path) -> Case:
    """The case with its inputs' values from an ``.npz`` file, in the case's own names, axes and types.

    Raises :class:`UnusableInput` in one line for a file that is none, and for arrays that do not fit.
    """
    given = npz.load(file, memory=MOST)
    odd, lacking = sorted(set(given) - set(case.inputs)), sorted(set(case.inputs) - set(given))
    if odd or lacking:
        seen = f"holds {', '.join(map(repr, odd))}" if odd else f"lacks {', '.join(map(repr, lacking))}"
        raise UnusableInput(f"{file}: {seen}; the inputs of {case.name} are {', '.join(case.inputs)}")
    fed = {}
    for name, tensor in case.inputs.items():
        for problem in _misfits(tensor, given[name], case):
            raise UnusableInput(f"{file}: {name} of {case.name} {problem}")
        fed[name] = replace(tensor, shape=given[name].shape, values=given[name])
    sizes: dict[str, int] = {}
    for name, tensor in fed.items():
        for axis, size in zip(tensor.axes.split(), tensor.shape or (), strict=True):
            if axis in case.dynamic and sizes.setdefault(axis, size) != size:
                raise UnusableInput(f"{file}: {name} has {axis}={size}, another input {axis}={sizes[axis]}")
    changed = at(replace(case, inputs={}), sizes)
    return replace(changed, inputs=fed)


def _misfits(tensor: Tensor, array: Array, case: Case) -> Iterator[str]:
    """Why an array cannot be fed in a tensor's place."""
    axes = tensor.axes.split()
    if array.dtype != np.dtype(tensor.dtype):
        yield f"is {array.dtype}, expected {tensor.dtype}: save it with .astype('{tensor.dtype}')"
    if array.ndim != len(axes):
        yield f"has shape {array.shape}, expected the axes {tensor.axes!r}"
    for axis, size, due in zip(axes, array.shape, tensor.shape or array.shape, strict=False):
        if size != due and axis not in case.dynamic:
            yield f"has shape {array.shape}, expected {tuple(tensor.shape or ())}: axis {axis}"


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


OTHERS, LOW, HIGH, LARGE = "other inputs", "low inputs", "high inputs", f"inputs times {2**6}"
DRAWN = (OTHERS, LOW, HIGH, LARGE)


def redrawn(case: Case, fed: Case) -> tuple[str, ...]:
    """Which other inputs there are for a case that is ``fed`` so: what it does not fix, it gives a range for."""
    ranged = [tensor for tensor in case.inputs.values() if tensor.values is None]
    fixed = len(ranged) < len(case.inputs) or any(t.values is not None for t in fed.inputs.values())
    floats = any(np.dtype(tensor.dtype).kind == "f" for tensor in case.inputs.values())
    wanted = {OTHERS: fixed, LOW: bool(ranged), HIGH: bool(ranged), LARGE: floats}
    return tuple(which for which in DRAWN if wanted[which])


def drawn(case: Case, fed: Case, name: str, which: str, seed: int) -> Case:
    """The case, which is ``fed`` so, with other inputs: from either half of their ranges, or floats 64 times as large.

    An export that has frozen what it was traced with (a branch, a limit that nothing reaches) is right on the inputs
    of the export, and a case may be fed with just those.  Values that the case fixes are moved on by one place: in
    which range others would lie, nobody has said.  Inputs that were sought are in the file that the case is fed from.
    """
    if which not in DRAWN:
        return fed
    half = {LOW: (0.0, 0.5), HIGH: (0.5, 1.0)}.get(which, (0.0, 1.0))
    inputs = {}
    for key, tensor in case.inputs.items():
        dtype, now = np.dtype(tensor.dtype), fed.inputs[key]
        if tensor.values is None:
            shape = now.shape if now.values is None else np.shape(now.values)
            ranged = replace(tensor, shape=shape, low=_part(tensor, half[0]), high=_part(tensor, half[1]))
            tensor = ranged if ranged.low < ranged.high else replace(tensor, shape=shape)
        values = examples_of(replace(case, inputs={key: tensor}), f"{name}\0{which}", seed)[key]
        if which == LARGE and dtype.kind == "f":
            with np.errstate(over="ignore"):
                values = (values * 2.0**6).astype(dtype)
        inputs[key] = replace(tensor, shape=values.shape, values=values)
    return replace(fed, inputs=inputs)


def _part(tensor: Tensor, part: float) -> float:
    """A place in a tensor's range; of whole numbers, a whole one."""
    place = tensor.low + (tensor.high - tensor.low) * part
    whole = tensor.integers or np.dtype(tensor.dtype).kind in "iu"
    return math.ceil(place) if whole and 0 < part < 1 else place


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
