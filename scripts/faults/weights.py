"""The values of initializers: one number, one channel, all of them."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto

from faults.site import Accepted, Array, Site, kind


def _drawn(site: Site, node: NodeProto, random: np.random.Generator, least: int = 2) -> str | None:
    """An initializer of floats that this node reads."""
    names = [n for n in node.input if n in site.base.weights]
    names = [n for n in names if site.base.weights[n].dtype == np.float32 and site.base.weights[n].size >= least]
    return str(random.choice(names)) if names else None


def _put(site: Site, name: str, array: Array) -> Accepted:
    """Everybody who reads an initializer reads the changed one."""
    site.changed[name] = np.ascontiguousarray(array, np.float32)
    return site.readers(name)


@kind("weights")
def one_number(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """One number is off by a twentieth of the array's largest."""
    name = _drawn(site, node, random)
    if name is None:
        return None
    changed = site.base.weights[name].copy().reshape(-1)
    changed[int(random.integers(changed.size))] += np.float32(0.05) * np.abs(changed).max()
    return _put(site, name, changed.reshape(site.base.weights[name].shape))


@kind("weights")
def all_scaled(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """All numbers are one percent too large."""
    name = _drawn(site, node, random)
    return None if name is None else _put(site, name, site.base.weights[name] * np.float32(1.01))


@kind("weights")
def channels_exchanged(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """Two neighbouring entries along an axis are exchanged."""
    name = _drawn(site, node, random)
    if name is None:
        return None
    changed = site.base.weights[name].copy()
    axes = [i for i, size in enumerate(changed.shape) if size > 1]
    moved = np.moveaxis(changed, int(random.choice(axes)), 0)
    place = int(random.integers(moved.shape[0] - 1))
    moved[[place, place + 1]] = moved[[place + 1, place]]
    return None if np.array_equal(changed, site.base.weights[name]) else _put(site, name, changed)


@kind("weights")
def part_zeroed(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """One entry along an axis was never loaded."""
    name = _drawn(site, node, random)
    if name is None:
        return None
    changed = site.base.weights[name].copy()
    axes = [i for i, size in enumerate(changed.shape) if size > 1]
    moved = np.moveaxis(changed, int(random.choice(axes)), 0)
    moved[int(random.integers(moved.shape[0]))] = 0
    return None if np.array_equal(changed, site.base.weights[name]) else _put(site, name, changed)


@kind("weights", "LSTM GRU")
def gates_reordered(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """The gates of a recurrent layer are in another framework's order."""
    slot = int(random.choice([i for i in (1, 2, 3) if i < len(node.input) and node.input[i]]))
    held = site.constant(node.input[slot])
    gates = 4 if node.op_type == "LSTM" else 3
    count = gates * (2 if slot == 3 else 1)
    if held is None or held.ndim < 2 or held.shape[1] % count:
        return None
    parts = np.split(held, count, axis=1)
    first = int(random.integers(gates - 1))
    parts[first], parts[first + 1] = parts[first + 1], parts[first]
    site.feed(node, slot, np.concatenate(parts, axis=1))
    return (node.name,)


@kind("weights", "Conv Gemm MatMul")
def another_seed(site: Site, node: NodeProto, random: np.random.Generator) -> Accepted | None:
    """Weights that were never loaded: the initialization of another seed."""
    name = node.input[1] if len(node.input) > 1 and node.input[1] in site.base.weights else None
    if name is None or site.base.weights[name].dtype != np.float32:
        return None
    held = site.base.weights[name]
    return _put(site, name, random.normal(0, float(held.std()) or 1.0, held.shape))
