"""Attributes that two steps have differently and that make no difference at the sizes that are known.

Design note.  The arithmetic is that of ``facts.receptive_field``, on the effective pads of normal form.  Two nodes
whose windows have one kernel, stride and begin read the same if these are equally many: what is padded beyond the last
one is never read.  A ConvTranspose computes rows and cuts them; ``output_padding`` at the end is cut that much less.
What is not certain (a size that is not known, a window that reaches beyond the end) is left out: then the comparison
lists a difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onnx_triangulate.diff.ir import Ints, NormalForm, Step, seen_dims
from onnx_triangulate.onnxgraph.nodes import Dims

_WINDOWS = ("Conv", "MaxPool", "AveragePool", "LpPool")
_NEVER_READ = "what one pads more at the end is never read"
# What Resize reads an attribute for: another attribute and its value.
_READ_BY = {
    "nearest_mode": ("mode", "nearest"),
    "cubic_coeff_a": ("mode", "cubic"),
    "extrapolation_value": ("coordinate_transformation_mode", "tf_crop_and_resize"),
}


def of_no_effect(one: Step, two: Step, forms: tuple[NormalForm, NormalForm]) -> Mapping[str, str]:
    """By the attributes that are of no effect on two steps of one operator, a sentence that says why."""
    if one.op == "Resize":
        return _resize(one.attributes, two.attributes)
    if any("auto_pad" in step.attributes for step in (one, two)):  # what they pad is not known
        return {}
    kernels = [_kernel(step, form) for step, form in zip((one, two), forms, strict=True)]
    if kernels[0] is None or kernels[0] != kernels[1]:
        return {}
    if one.op == "ConvTranspose":
        return _cut(one.attributes, two.attributes, len(kernels[0]))
    if one.op in _WINDOWS:
        sizes = [seen_dims(step.operands[0], form.values) for step, form in zip((one, two), forms, strict=True)]
        return _windows(one.attributes, two.attributes, kernels[0], sizes[0], sizes[1])
    return {}


def _resize(one: Mapping[str, Any], two: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: f"only {by} {value} reads it"
        for name, (by, value) in _READ_BY.items()
        if all(isinstance(held.get(by), str) and held[by] != value for held in (one, two))
    }


def _kernel(step: Step, form: NormalForm) -> Ints | None:
    """The spatial size of the window."""
    kernel: Any = step.attributes.get("kernel_shape")
    if kernel is None and len(step.operands) > 1:
        kernel = (seen_dims(step.operands[1], form.values) or ())[2:]
    return _ints(kernel, len(kernel)) if isinstance(kernel, tuple) and kernel else None


def _ints(value: Any, count: int) -> Ints | None:
    fits = isinstance(value, tuple) and len(value) == count and all(isinstance(v, int) for v in value)
    return value if fits else None


def _cut(one: Mapping[str, Any], two: Mapping[str, Any], count: int) -> dict[str, str]:
    """Of a ConvTranspose: the same rows at the same place."""
    if any(one.get(name) != two.get(name) for name in ("strides", "dilations", "output_shape")):
        return {}
    left = []
    for held in (one, two):
        pads, extra = _ints(held.get("pads"), 2 * count), _ints(held.get("output_padding"), count)
        if pads is None or extra is None:
            return {}
        left.append((pads[:count], tuple(e - more for e, more in zip(pads[count:], extra, strict=True))))
    says = "both leave the same rows: what output_padding adds at the end, the pads cut"
    return {"pads": says, "output_padding": says} if left[0] == left[1] else {}


def _windows(
    one: Mapping[str, Any], two: Mapping[str, Any], kernel: Ints, size: Dims | None, other: Dims | None
) -> dict[str, str]:
    if size is None or other is None or size[2:] != other[2:] or None in size[2:] or len(size) != len(kernel) + 2:
        return {}
    if any(one.get(name) != two.get(name) for name in ("strides", "dilations")):
        return {}
    known = tuple(d for d in size[2:] if d is not None)
    reach = [_reach(held, kernel, known) for held in (one, two)]
    if reach[0] is None or reach[0] != reach[1]:
        return {}
    begin, read = reach[0]
    made = {"pads": _NEVER_READ, "ceil_mode": "no window reaches beyond the end, whichever way is rounded"}
    if not any(begin) and all(last <= n for last, n in zip(read, known, strict=True)):
        made["count_include_pad"] = "no window reads any padding"
    return made


def _reach(held: Mapping[str, Any], kernel: Ints, size: Ints) -> tuple[Ints, Ints] | None:
    """How much is padded before, and how far the last window reads, where all of them lie in what is padded."""
    count = len(kernel)
    pads = _ints(held.get("pads"), 2 * count)
    strides, dilations = (_ints(held.get(name), count) for name in ("strides", "dilations"))
    if pads is None or strides is None or dilations is None or min(strides) < 1:
        return None
    read = []
    for axis, (k, s, d, n) in enumerate(zip(kernel, strides, dilations, size, strict=True)):
        span = (k - 1) * d + 1
        room = n + pads[axis] + pads[count + axis] - span
        if room < 0 or (held.get("ceil_mode") and room % s):
            return None
        read.append(room // s * s + span)
    return pads[:count], tuple(read)
