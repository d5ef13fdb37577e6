"""What is drawn of a graph: all of it, or what is near a node of a large one.

Design note.  A picture is read by people, so what they ask for stands on the box (the padding in effect, weights,
attributes that are not the default) and everything else is left out: initializers and Constants are no boxes but lines
of the nodes that use them.  One graph is drawn at a time, the main one or, around a node of a subgraph or a function,
that one; what a subgraph reads from outside is an arrow into the node that holds it.  A drawing has at most ``most``
boxes; what it leaves out is counted, in whole and at every box that has a neighbour outside.  Names are the file's own.

The padding of a node is found by its name, and two nodes may have one name: then it is taken in the file's order, and
only where there are as many records as nodes.  A graph that runs in a circle is drawn in the file's order.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import onnx
from onnx import NodeProto, TensorProto

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.onnxgraph.graph import Graph, Place, in_order
from onnx_triangulate.onnxgraph.nodes import array, attributes, elements, in_onnx, opset, printable, text
from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.graphs import Pads
from onnx_triangulate.records.inspection import SEVERITIES, Arrow, Box, Diagnostic, Drawing, Inspection, Severity

MOST = 400
_LINES = 7
_SHOWN_ELEMENTS = 8
_SHOWN_TEXT = 24
_OF_PADDING = ("pads", "auto_pad")
_TYPES = ("to", "dtype")
_ONES = ("strides", "dilations")  # all ones where they are not given, which no schema says


@dataclass
class _Wires:
    """The nodes of one graph and the values between them: nodes are numbers, inputs and outputs of the graph follow."""

    graph: Graph
    places: Sequence[Place]
    kinds: list[str] = field(default_factory=list)
    names: list[str | bytes] = field(default_factory=list)  # of inputs and outputs: the value
    arrows: dict[tuple[int, int], list[str | bytes]] = field(default_factory=dict)
    before: list[list[int]] = field(default_factory=list)
    after: list[list[int]] = field(default_factory=list)

    def add(self, kind: str, name: str | bytes = "") -> int:
        self.kinds.append(kind)
        self.names.append(name)
        self.before.append([])
        self.after.append([])
        return len(self.kinds) - 1

    def join(self, source: int, target: int, value: str | bytes) -> None:
        values = self.arrows.get((source, target))
        if values is None:
            self.arrows[source, target] = [value]
            self.after[source].append(target)
            self.before[target].append(source)
        elif value not in values:
            values.append(value)


def _nested(place: Place) -> Counter[str]:
    """How many nodes each subgraph of a node has, those inside of it included, by the subgraph's path."""
    return Counter({graph.path: len(in_order((graph,))) for graph in place.subgraphs})


def _wires(graph: Graph) -> _Wires:
    wires = _Wires(graph, graph.places)
    for _ in graph.places:
        wires.add("node")
    sources: dict[str | bytes, int] = {}

    def source(name: str | bytes) -> int | None:
        if name in graph.producers:
            return graph.producers[name]  # type: ignore[index]  # a name that is no UTF-8 is bytes
        if not name or graph.tensor(name) is not None:  # type: ignore[arg-type]
            return None
        if name not in sources and (name in graph.given or graph.parent is not None):
            sources[name] = wires.add("input", name)
        return sources.get(name)

    if graph.kind == "graph":
        for name in graph.inputs:
            source(name)
    for number in range(len(graph.places)):
        for name in dict.fromkeys(graph.reads(number)):
            origin = source(name)
            if origin is not None:
                wires.join(origin, number, name)
    for name in dict.fromkeys(graph.outputs):
        origin = source(name)
        if origin is not None:
            wires.join(origin, wires.add("output", name), name)
    return wires


def _hidden(wires: _Wires, kept: set[int]) -> set[int]:
    """Constants, where they are read by nodes only: they are lines of these."""
    return {
        number
        for number, place in enumerate(wires.places)
        if number not in kept
        and place.op == "Constant"
        and wires.after[number]
        and all(wires.kinds[user] == "node" for user in wires.after[number])
    }


def _order(wires: _Wires) -> list[int]:
    """Every number after those it reads from, the file's order wherever that leaves a choice."""
    waiting = [len(before) for before in wires.before]
    first = [n for n, kind in enumerate(wires.kinds) if kind == "input"]
    ready = deque([*first, *(n for n, kind in enumerate(wires.kinds) if kind != "input" and not waiting[n])])
    order: list[int] = []
    done = [False] * len(waiting)
    while ready:
        number = ready.popleft()
        done[number] = True
        order.append(number)
        for user in wires.after[number]:
            waiting[user] -= 1
            if not waiting[user]:
                ready.append(user)
    return order + [number for number, is_done in enumerate(done) if not is_done]


def _centre(view: ModelView, around: str) -> tuple[Graph, set[str | bytes]]:
    """The graph that holds a node, or a value, of this name."""
    for place in view.places:
        if place.name == around:
            return place.graph, set()
    for place in view.places:
        for name in (*place.outputs, *place.inputs):
            if name and text(name) == around:
                graph = place.graph
                while graph.parent is not None and not graph.defines(name):
                    graph = graph.parent
                return graph, {name}
    near = list(dict.fromkeys(place.name for place in view.places if around and around.lower() in place.name.lower()))
    hint = f"; there is {', '.join(printable(name, 60) for name in near[:3])}" if near else ""
    raise UnusableInput(f"{printable(around)}: no node or value of that name{hint}")


def _near(wires: _Wires, centres: Sequence[int], depth: int, most: int, hidden: set[int]) -> list[int]:
    """The boxes at most ``depth`` arrows away, the nearest first."""
    found = dict.fromkeys(centres[:most], 0)
    queue = deque(found)
    while queue and len(found) < most:
        number = queue.popleft()
        if found[number] >= depth:
            continue
        for other in (*wires.before[number], *wires.after[number]):
            if other not in found and other not in hidden and len(found) < most:
                found[other] = found[number] + 1
                queue.append(other)
    return list(found)


def draw(view: ModelView, found: Inspection, *, around: str | None = None, depth: int = 3, most: int = MOST) -> Drawing:
    """What is to be drawn of a graph: at most ``most`` boxes of the main graph, from its inputs on, or those at most
    ``depth`` arrows away from a node, or from the node that makes a value.

    Raises ``UnusableInput`` where there is no node or value called ``around``.
    """
    assert view.places is not None  # shapes and types are there from now on
    graph, centres = view.graphs[0], []
    if around is not None:
        graph, values = _centre(view, around)
    wires = _wires(graph)
    if around is not None:
        centres = _boxes_of(wires, around, values)
    hidden = _hidden(wires, set(centres))
    order = [number for number in _order(wires) if number not in hidden]
    chosen = set(_near(wires, centres, depth, most, hidden) if around is not None else order[:most])
    return _DrawingBuilder(view, found, wires, hidden, centres).drawing(
        [number for number in order if number in chosen], len(order) - len(chosen), _title(view, graph, around), most
    )


def _boxes_of(wires: _Wires, node: str, values: set[str | bytes]) -> list[int]:
    """The boxes of the nodes of a name; or, for values, of what makes them, else of the nodes that read them."""
    if not values:
        return [n for n, place in enumerate(wires.places) if place.name == node]
    found = [n for n, place in enumerate(wires.places) if not values.isdisjoint(place.outputs)]
    found += [n for n, name in enumerate(wires.names) if name in values and wires.kinds[n] == "input"]
    return found or [n for n, place in enumerate(wires.places) if not values.isdisjoint(place.inputs)]


def _title(view: ModelView, graph: Graph, around: str | None) -> str:
    file = view.file.name if view.file is not None else text(view.model.graph.name) or "a model in memory"
    inside = f", in {graph.path.rstrip('/')}" if graph.path else ""
    return f"{file}{inside}{'' if around is None else f', around {around}'}"


class _DrawingBuilder:
    """Boxes and arrows of one graph."""

    def __init__(
        self, view: ModelView, found: Inspection, wires: _Wires, hidden: set[int], asked: Sequence[int]
    ) -> None:
        self.wires = wires
        self.hidden = hidden
        self.asked = frozenset(asked)
        self.view = view
        self.main = wires.graph.kind == "graph"
        self.found = found
        self.version = opset(view.model)
        self.pads = _pads_of(view.places, found.pads, wires.places)
        self.remarks: dict[str, list[Diagnostic]] = {}
        for remark in found.diagnostics:
            for name in dict.fromkeys(remark.nodes):
                self.remarks.setdefault(name, []).append(remark)

    def drawing(self, shown: Sequence[int], left_out: int, title: str, most: int) -> Drawing:
        keys = {number: f"b{number}" for number in shown}
        boxes: list[Box] = []
        arrows: list[Arrow] = []
        room = max(8, most // 4)
        ends: list[Box] = []
        for number in shown:
            outside = [n for n in self.wires.before[number] if n not in keys and n not in self.hidden]
            if outside and room:
                room -= 1
                boxes.append(Box(f"u{number}", "more", f"{len(outside):,} more"))
                arrows.append(Arrow(f"u{number}", keys[number]))
            boxes.append(self._box(number, keys[number]))
            outside = [n for n in self.wires.after[number] if n not in keys]
            if outside and room:
                room -= 1
                ends.append(Box(f"d{number}", "more", f"{len(outside):,} more"))
                arrows.append(Arrow(keys[number], f"d{number}"))
        for number in shown:
            for user in self.wires.after[number]:
                if user in keys:
                    arrows += [
                        self._arrow(keys[number], keys[user], value) for value in self.wires.arrows[number, user]
                    ]
        return Drawing(title, (*boxes, *ends), tuple(arrows), left_out)

    def _arrow(self, source: str, target: str, value: str | bytes) -> Arrow:
        return Arrow(source, target, self._type(value), self._layout(value), text(value))

    def _layout(self, value: str | bytes) -> str:
        if self.main:
            return self.found.layouts.get(text(value), "")
        return self.view.flow.layout_in(self.wires.graph, value)  # type: ignore[arg-type]  # not UTF-8: bytes

    def _type(self, name: str | bytes) -> str:
        known = self.wires.graph.type(name)  # type: ignore[arg-type]  # a name that is no UTF-8 is bytes
        shape = self.wires.graph.shape(name)  # type: ignore[arg-type]
        dims = "[...]" if shape is None else f"[{','.join('?' if d is None else str(d) for d in shape)}]"
        return "" if known is None and shape is None else f"{dtype(known)}{dims}"

    def _box(self, number: int, key: str) -> Box:
        kind = self.wires.kinds[number]
        if kind != "node":
            value = self.wires.names[number]
            name = text(value)
            border = (self.found.inputs if kind == "input" else self.found.outputs) if self.main else {}
            said = border.get(name) or self._type(value)
            remarks = self.remarks.get(name, [])
            return Box(
                key,
                "input" if kind == "input" else "output",
                name,
                name,
                (said,) if said else (),
                self._layout(value),
                _worst(remarks),
                _said(remarks),
                number in self.asked,
            )
        place = self.wires.places[number]
        outputs = [output for output in place.outputs if output]
        remarks = list(self.remarks.get(place.name, []))
        remarks += [r for output in outputs if text(output) != place.name for r in self.remarks.get(text(output), [])]
        return Box(
            key,
            "node",
            place.op,
            place.name,
            tuple(self._lines(number, place, outputs)),
            self._layout(outputs[0]) if outputs else "",
            _worst(remarks),
            _said(remarks),
            number in self.asked,
        )

    def _lines(self, number: int, place: Place, outputs: Sequence[str | bytes]) -> list[str]:
        pads = self.pads.get(number)
        lines = padding(pads) if pads is not None else []
        said = _OF_PADDING if pads is not None else ()
        lines += self._constants(place, said)
        lines += _attributes(place, self.version, said)
        for path, held in _nested(place).items():
            branch = path.removeprefix(place.name).strip("/") or "body"
            lines.append(f"{branch}: {held:,} {'node' if held == 1 else 'nodes'}")
        if len(lines) > _LINES:
            lines = [*lines[: _LINES - 1], f"and {len(lines) - _LINES + 1} more"]
        made = self._type(outputs[0]) if outputs else ""
        if made:
            lines.append(f"→ {made}" if len(outputs) == 1 else f"→ {made} and {len(outputs) - 1} more")
        return lines

    def _constants(self, place: Place, without: Sequence[str]) -> list[str]:
        """The tensors among a node's inputs: their shapes, or their numbers where these are few."""
        formal = _formal(place.node, self.version)
        lines = []
        for slot, name in enumerate(place.inputs):
            tensor = self.wires.graph.tensor(name) if name else None
            if tensor is not None:
                called = formal[slot] if slot < len(formal) else f"input {slot}"  # of a list without names
                lines += [f"{called} {_numbers(tensor)}"] if called not in without else []
        return lines


def dtype(known: int | None) -> str:
    """A type as people write it: ``float32``."""
    if known is None:
        return ""
    try:
        name: str = TensorProto.DataType.Name(known).lower()
    except ValueError:
        return f"type {known}"
    return {"float": "float32", "double": "float64"}.get(name, name)


def _numbers(tensor: TensorProto) -> str:
    if 0 <= elements(tensor) <= _SHOWN_ELEMENTS // 2 and len(tensor.dims) <= 1:
        values = array(tensor)
        if values is not None and values.dtype.kind in "biuf" and values.size == elements(tensor):
            said = ", ".join(f"{v:.6g}" if values.dtype.kind == "f" else str(v) for v in values.reshape(-1).tolist())
            return f"= {said}" if not tensor.dims else f"= [{said}]"
    return f"{'×'.join(str(d) for d in tensor.dims) or 'scalar'}"


def _formal(node: NodeProto, version: int | None) -> list[str]:
    """What ONNX calls the inputs of an operator."""
    schema = _schema(node, version)
    variadic = onnx.defs.OpSchema.FormalParameterOption.Variadic
    return [] if schema is None else [formal.name for formal in schema.inputs if formal.option != variadic]


def _schema(node: NodeProto, version: int | None) -> onnx.defs.OpSchema | None:
    if not in_onnx(node):
        return None
    try:
        return onnx.defs.get_schema(text(node.op_type), version or onnx.defs.onnx_opset_version(), "")
    except (onnx.defs.SchemaError, RuntimeError, TypeError, OverflowError, UnicodeError):
        return None


def _attributes(place: Place, version: int | None, without: Sequence[str]) -> list[str]:
    """The short attributes of a node that are not at their default."""
    schema = _schema(place.node, version)
    lines = []
    for name, value in place.attributes.items():
        said = _value(value)
        ones = name in _ONES and isinstance(value, tuple) and set(value) == {1}
        if name in without or said is None or ones or value == _default(schema, name):
            continue
        is_type = name in _TYPES and schema is not None and isinstance(value, int)
        lines.append(f"{name} {dtype(value) if is_type else said}")
    return lines


def _value(value: object) -> str | None:
    if isinstance(value, tuple):
        said = [_value(each) for each in value[:_SHOWN_ELEMENTS]]
        rest = f" and {len(value) - _SHOWN_ELEMENTS} more" if len(value) > _SHOWN_ELEMENTS else ""
        return f"[{', '.join(each or '?' for each in said)}{rest}]"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        return value if len(value) <= _SHOWN_TEXT else f"{value[:_SHOWN_TEXT]}…"
    return str(value) if isinstance(value, int) else None


def _default(schema: onnx.defs.OpSchema | None, name: str) -> object:
    formal = schema.attributes.get(name) if schema is not None else None
    if formal is None or not formal.default_value.type:
        return None
    held = attributes(NodeProto(attribute=[formal.default_value]))
    return held.get(text(formal.default_value.name))


def padding(pads: Pads) -> list[str]:
    """The padding in effect, as numbers: before and after, axis by axis."""
    auto = f" ({pads.auto_pad})" if pads.auto_pad not in ("NOTSET", "") else ""
    if pads.begin is None or pads.end is None:
        return [f"pads ?{auto}"]
    lines = [f"pads {_sides(pads.begin, pads.end)}{auto}"]
    together = getattr(pads, "with_pad", None)
    if together is not None and together != (pads.begin, pads.end):
        lines.append(f"with its Pad {_sides(*together)}")
    return lines


def _sides(begin: Sequence[int], end: Sequence[int]) -> str:
    return f"{' '.join(map(str, begin)) or '-'} | {' '.join(map(str, end)) or '-'}"


def _pads_of(everywhere: Sequence[Place], pads: Sequence[Pads], places: Sequence[Place]) -> Mapping[int, Pads]:
    """The padding of each of ``places`` by its number."""
    held: dict[tuple[str, str], list[Pads]] = {}
    for each in pads:
        held.setdefault((each.node, each.op), []).append(each)
    nodes: dict[tuple[str, str], list[Place]] = {}
    for place in everywhere:
        if (place.name, place.op) in held:
            nodes.setdefault((place.name, place.op), []).append(place)
    by_node: dict[int, Pads] = {}
    for key, called in nodes.items():
        if len(called) == len(held[key]):
            by_node.update({id(place): each for place, each in zip(called, held[key], strict=True)})
    return {number: by_node[id(place)] for number, place in enumerate(places) if id(place) in by_node}


def _worst(remarks: Sequence[Diagnostic]) -> Severity | None:
    return max((remark.severity for remark in remarks), key=SEVERITIES.index, default=None)


def _said(remarks: Sequence[Diagnostic]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"{remark.code} {remark.message}" for remark in remarks))
