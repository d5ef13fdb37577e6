"""VAL005: kernels of a convolution that are all zero, or all the same."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules._helpers import shown
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule
from onnx_triangulate.inspection.rules._values import Values, stored_array, weights

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[1,1,4] x) => (y)'
_FIRST = 8


def _find(view: ModelView) -> Iterator[Occurrence]:
    """Kernels of a convolution that are all zero give a channel that is the same everywhere: pruned, or never reached
    by training. Where all kernels are equal, all channels are, which no training leaves (in a depthwise convolution it
    can be meant, a blur, and is not remarked).
    """
    digests = Values.of(view).digests
    groups = {place.name: place.attribute("group", int, 1) for place in view.of("Conv")}
    for name, node, index, tensor in weights(view):
        digest = digests.get(name)
        if node not in groups or index != 1 or digest is None or len(digest.dims) < 3:
            continue
        if digest.lowest == digest.highest or digest.dims[0] < 2:
            continue  # of one number throughout: another rule's
        values = stored_array(tensor)
        if values is None:
            continue
        kernels = values.reshape(digest.dims[0], -1)
        # Most kernels differ in the first few numbers: only those that do not are looked at in full.
        empty = ~kernels[:, :_FIRST].any(axis=1)
        zero = int(np.count_nonzero(~kernels[empty].any(axis=1))) if empty.any() else 0
        if zero:
            says = f"{zero:,} of {len(kernels):,} kernels in {shown(name)} are all zero: these channels are their bias"
            yield Occurrence((node,), says)
        elif (
            groups[node] == 1
            and bool((kernels[:, :_FIRST] == kernels[0, :_FIRST]).all())
            and bool((kernels == kernels[0]).all())
        ):
            says = f"all {len(kernels):,} kernels in {shown(name)} are the same: so are its channels"
            yield Occurrence((node,), says, "warning")


RULE = Rule(
    code="VAL005",
    name="constant-channels",
    severity="info",
    find=_find,
    fires=(
        f"{_HEAD} <float[2,1,2] w = {{1.0, 2.0, 0.0, 0.0}}> {{ y = Conv (x, w) }}",
        f"{_HEAD} <float[2,1,2] w = {{1.0, 2.0, 1.0, 2.0}}> {{ y = Conv (x, w) }}",
    ),
    quiet=(f"{_HEAD} <float[2,1,2] w = {{1.0, 2.0, 2.0, 1.0}}> {{ y = Conv (x, w) }}",),
)
