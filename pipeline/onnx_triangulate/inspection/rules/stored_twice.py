"""VAL006: tensors that are stored more than once."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import TensorProto

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.facts.size_summary import size, tensors
from onnx_triangulate.inspection.rules._helpers import count, some
from onnx_triangulate.inspection.rules._registry import Occurrence, Rule
from onnx_triangulate.inspection.rules._values import Values, stored_array

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[1] x) => (y)'
_SMALL = 1 << 10
_RAMP = ", ".join(str(i) for i in range(_SMALL))
_OTHER = ", ".join(str(i) for i in range(1, _SMALL + 1))


def _find(view: ModelView) -> Iterator[Occurrence]:
    """Tensors of 1,024 elements and more are equal in every bit. A weight that two layers share (an embedding and the
    output layer of a language model) was written twice.
    """
    digests = Values.of(view).digests
    alike: dict[tuple[object, ...], list[tuple[str, TensorProto]]] = {}
    for name, tensor in tensors(view):
        digest = digests.get(name)
        # What is one number throughout is cheap to come by: zeros and ones are not copies of one another.
        if digest is not None and digest.count >= _SMALL and digest.lowest < digest.highest:
            key = (digest.dtype, digest.dims, digest.lowest, digest.highest, digest.denormal)
            alike.setdefault(key, []).append((name, tensor))
    copies: list[str] = []
    wasted = 0
    for group in alike.values():
        contents: dict[bytes, list[str]] = {}
        for name, tensor in group if len(group) > 1 else ():
            values = stored_array(tensor)
            if values is not None:
                contents.setdefault(values.tobytes(), []).append(name)
        for equal in contents.values():
            if len(equal) > 1:
                copies += equal
                wasted += (len(equal) - 1) * size(group[0][1])
    if copies:
        yield Occurrence(
            tuple(copies),
            f"{count(len(copies), 'stored tensor')} that are copies of each other ({some(copies)}): {wasted:,} "
            "bytes could be saved",
        )


RULE = Rule(
    code="VAL006",
    name="stored-twice",
    severity="info",
    find=_find,
    fires=(
        f"{_HEAD} <float[{_SMALL}] a = {{{_RAMP}}}, float[{_SMALL}] b = {{{_RAMP}}}> "
        f"{{ c = Mul (x, a) y = Add (c, b) }}",
    ),
    quiet=(
        f"{_HEAD} <float[{_SMALL}] a = {{{_RAMP}}}, float[{_SMALL}] b = {{{_OTHER}}}> "
        f"{{ c = Mul (x, a) y = Add (c, b) }}",
    ),
)
