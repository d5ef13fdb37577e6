"""How the weights lie in the file, as far as one can tell.

Design note.  Names of axes come from the operator that uses a weight (OI and the spatial ones for Conv, IO for
ConvTranspose and MatMul, by transB for Gemm) and travel back to the initializer as they do for data, so that a
Transpose at run time or a DequantizeLinear in between is accounted for.  Sizes are never looked at.
What the exporter did before it wrote the file cannot be seen; where a producer is known for storing something
otherwise, the sentence says what that means and no more.
"""

from __future__ import annotations

from onnx import ModelProto

from onnx_triangulate.facts.layouts import WEIGHT_SLOTS, Flow, word
from onnx_triangulate.onnxgraph.nodes import text
from onnx_triangulate.records.inspection import WeightLayout

_MOST = 16  # nodes between a weight and the operator that uses it


def _roots(flow: Flow, value: int) -> tuple[list[int], list[int]]:
    """The constants that nobody makes which a weight comes from, and the nodes on the way."""
    roots, nodes, waiting, seen = [], [], [value], set[int]()
    while waiting and len(seen) < _MOST:
        own = waiting.pop()
        if own in seen:
            continue
        seen.add(own)
        index = flow.maker[own]
        if index < 0 or flow.ops[index] == "Constant":
            roots.append(own)
            continue
        sources = flow.back[index].get(own, [])
        if sources:
            nodes.append(index)
        waiting += sources[:_MOST]
    return roots, nodes


_TENSORFLOW = {"OIW": "WIO", "OIHW": "HWIO", "OIDHW": "DHWIO"}
_KERNELS = ("HWIO", "WIO", "DHWIO", "HWOI", "WOI", "DHWOI")


def _says(flow: Flow, index: int, nodes: list[int], layout: str, producer: str) -> str:
    place = flow.places[index]
    group = place.attributes.get("group", 1)
    turned = [flow.places[n].name for n in reversed(nodes) if flow.ops[n] == "Transpose"]
    stored = {
        "IO": ("pytorch", "PyTorch's Linear keeps OI"),
        "OI": ("tf2onnx", "TensorFlow's Dense keeps IO"),
    }
    if group == 1:
        stored |= {own: ("tf2onnx", f"TensorFlow keeps kernels {other}") for own, other in _TENSORFLOW.items()}
    exporter, keeps = stored.get(layout, ("", ""))
    if turned:
        said = [f"{place.op} gets it by way of a Transpose at run time ({', '.join(turned)})"]
        said += ["this is the order of TensorFlow's kernels"] if layout in _KERNELS else []
    elif place.op == "Gemm":
        said = [f"transB is {int(bool(place.attributes.get('transB')))}"]
    else:
        said = [f"as {place.op} reads it"]
    if "O" in layout and len(layout) > 2 and isinstance(group, int) and group > 1:
        said.append(f"{'O' if place.op == 'ConvTranspose' else 'I'} counts one of {group} groups")
    if not turned and keeps and producer.startswith(exporter):
        said.append(f"{keeps}: if it is one, the exporter stored it transposed")
    return "; ".join(said)


def weights_of(flow: Flow, model: ModelProto) -> tuple[WeightLayout, ...]:
    """The constants that convolutions and matrix products use as weights, by the node that uses them."""
    producer = text(model.producer_name).lower()
    found: dict[tuple[int, int], WeightLayout] = {}
    for index, place in enumerate(flow.places):
        for slot in WEIGHT_SLOTS.get(flow.ops[index], ()):
            value = flow.inputs[index][slot] if slot < len(flow.inputs[index]) else -1
            if value < 0 or not flow.constant[value]:
                continue
            roots, nodes = _roots(flow, value)
            for root in roots:
                names = flow.names_of(root)
                layout = word(names)
                if layout and set("".join(names or ())) <= set("OIDHW"):
                    says = _says(flow, index, nodes, layout, producer)
                    found.setdefault((index, root), WeightLayout(text(flow.names[root]), place.name, layout, says))
    return tuple(found.values())
