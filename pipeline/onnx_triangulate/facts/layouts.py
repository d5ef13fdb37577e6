"""Every value's layout, followed through the graph.

Design note.  Operators such as Conv say what the axes of their operands are: N, C and the spatial ones, or O and I of a
weight.  These names are the seeds.  They travel along the links of ``ops.axis_propagation``, forward and backward,
nearest seed first, and an axis that has a name keeps it.  Where two claims meet that do not agree (behind a permutation
that is no change of layout, an attention over the height, say) the value is contested: it has no layout, and nothing
travels on from there.  Every value is settled at most once per axis, so the walk is linear in the graph.

Two rules keep out what is not so.  Names never leave a constant for its other users (one scalar of shape 1x1x1x1 may
serve in both layouts).  A Resize is bound to no layout: what it leaves alone only hints at one, and hints are heard
after everything else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from onnx import ModelProto

from onnx_triangulate.onnxgraph.graph import Graph, Place
from onnx_triangulate.onnxgraph.nodes import array, elements, opset, text
from onnx_triangulate.ops.axis_propagation import BACKWARD, CHANNELS, PLAIN, Link
from onnx_triangulate.ops.graph_node import GraphNode
from onnx_triangulate.ops.random_draws import DRAWS
from onnx_triangulate.ops.registry import axis_links, operators

# The name of one axis: a letter, several letters where axes were merged ("HW"), "" where it is not known.
Names = tuple[str, ...]

_SPATIAL = {1: "W", 2: "HW", 3: "DHW"}
_ORDER = "DHW"

_SLOTS = {name: op.images for name, op in operators().items() if op.images}
_EITHER = {name: op.channels_last for name, op in operators().items() if op.channels_last is not None}
_LAST = {name for name, op in operators().items() if op.window is not None and op.window.last}
_LAST_DOMAIN = "com.ms.internal.nhwc."
_WEIGHTS = {name: op.kernel for name, op in operators().items() if op.kernel is not None}
_DENSE = {name: op.matrices for name, op in operators().items() if op.matrices is not None and not op.domain}
WEIGHT_SLOTS = {op: (slot,) for op, (slot, _) in _WEIGHTS.items()} | _DENSE


@lru_cache(maxsize=4096)
def canonical(names: Names) -> Names:
    """The spatial axes renamed as they are where there are so many, for claims to be compared: a lone H may be a W."""
    spatial = sorted((n for n in names if len(n) == 1 and n in _ORDER), key=_ORDER.index)
    if not spatial or len(spatial) > 3:
        return names
    usual = dict(zip(spatial, _SPATIAL[len(spatial)], strict=True))
    return tuple(usual.get(n, n) for n in names)


@lru_cache(maxsize=4096)
def word(names: Names | None) -> str:
    """``"NCHW"``, ``"N(HW)C"`` where axes are merged, ``""`` where one is not known."""
    if not names or not all(names):
        return ""
    return "".join(n if len(n) == 1 else f"({n})" for n in names)


@dataclass(frozen=True)
class Flow:
    """The graph as a wiring of values by number, and the names of their axes.

    ``inputs[n]`` and ``outputs[n]`` are the values of node n by slot, -1 for one left out; ``maker`` and ``users`` are
    the same seen from the values; ``onward[n]`` has the outputs that node n links with an input slot, ``back[n]`` the
    inputs that it links with an output; ``ends`` are those that leave their graph or function; ``graph_inputs`` and
    ``graph_outputs`` the main graph's inputs and outputs with their names; ``bound`` the nodes that are seeds.
    """

    places: Sequence[Place]
    ops: list[str] = field(default_factory=list)
    inputs: list[list[int]] = field(default_factory=list)
    outputs: list[list[int]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    main: list[bool] = field(default_factory=list)
    maker: list[int] = field(default_factory=list)
    users: list[list[tuple[int, int]]] = field(default_factory=list)
    ranks: list[int | None] = field(default_factory=list)
    constant: list[bool] = field(default_factory=list)
    ends: set[int] = field(default_factory=set)
    graph_inputs: dict[int, str] = field(default_factory=dict)
    graph_outputs: dict[int, str] = field(default_factory=dict)
    links: list[tuple[Link, ...]] = field(default_factory=list)
    onward: list[dict[int, list[int]]] = field(default_factory=list)
    back: list[dict[int, list[int]]] = field(default_factory=list)
    free: list[bool] = field(default_factory=list)
    bound: set[int] = field(default_factory=set)
    version: int = 1
    axes: list[Names | None] = field(default_factory=list)
    contested: set[int] = field(default_factory=set)
    numbers: dict[Graph, dict[str, int]] = field(default_factory=dict)

    def source(self, index: int) -> int:
        """The first input of node ``index``, -1 where it has none."""
        return next(iter(self.inputs[index]), -1)

    def result(self, index: int) -> int:
        """The first output of node ``index``, -1 where it has none."""
        return next(iter(self.outputs[index]), -1)

    def names_of(self, value: int) -> Names | None:
        """The names of a value's axes; ``None`` where nothing is known of them, or no two say the same."""
        return None if value < 0 or value in self.contested else self.axes[value]

    def layout(self, value: int) -> str:
        """The layout of a value in a word, ``""`` where it has none."""
        return word(self.names_of(value))

    def layout_in(self, graph: Graph, name: str) -> str:
        """The layout of what ``name`` means in a graph, ``""`` of a constant and of what has none."""
        own: Graph | None = graph
        while own is not None:
            value = self.numbers.get(own, {}).get(name, -1)
            if value >= 0:
                return self._shown(value)
            own = own.parent
        return ""

    def _shown(self, value: int) -> str:
        """The layout of a value that is no constant; with fewer than three axes there is none."""
        names = self.names_of(value)
        return word(names) if names is not None and len(names) > 2 and not self.constant[value] else ""

    def view(self, index: int) -> GraphNode:
        """Node ``index`` as the rules of ``ops.axis_propagation`` see it."""
        ins, outs = self.inputs[index], self.outputs[index]
        return GraphNode(
            self.places[index],
            self.version,
            [None if v < 0 else self.ranks[v] for v in ins],
            [None if v < 0 else self.ranks[v] for v in outs],
            [v >= 0 and self.constant[v] for v in ins],
        )

    @property
    def layouts(self) -> Mapping[str, str]:
        """The layouts of the main graph's values that have one."""
        named = enumerate(self.names)
        return {text(name): said for value, name in named if self.main[value] and (said := self._shown(value))}


class _Wiring:
    """Fills a :class:`Flow` with everything but the names of axes."""

    def __init__(self, places: Sequence[Place], model: ModelProto) -> None:
        self.flow = Flow(places, version=opset(model) or 1)
        self.known = self.flow.numbers
        inputs = {i.name for i in model.graph.input}
        # Before IR version 4 every initializer had to be an input too.
        self.stored = {t.name for t in model.graph.initializer if model.ir_version < 4 or t.name not in inputs}
        self.held = {t.name for t in model.graph.initializer}
        for index, place in enumerate(places):
            self._node(index, place)
        self._border(model)

    def value(self, graph: Graph, name: str) -> int:
        """The number of the value that ``name`` means in ``graph``, -1 for the empty name."""
        if not name:
            return -1
        own: Graph | None = graph
        while own is not None:
            numbers = self.known.setdefault(own, {})
            if name in numbers:
                return numbers[name]
            if own.defines(name):
                return self._new(own, name, numbers)
            own = own.parent
        return self._new(graph, name, self.known[graph])

    def _new(self, graph: Graph, name: str, numbers: dict[str, int]) -> int:
        flow, number = self.flow, len(self.flow.names)
        numbers[name] = number
        dims = graph.shape(name)
        main = graph.kind == "graph"
        flow.names.append(name)
        flow.main.append(main)
        flow.maker.append(-1)
        flow.users.append([])
        flow.ranks.append(None if dims is None else len(dims))
        if main:
            fixed = name in self.stored or (name in graph.tensors and name not in self.held)
        else:
            fixed = name in graph.tensors and name not in graph.input_names
        flow.constant.append(fixed)
        flow.axes.append(None)
        if name in graph.output_names:
            flow.ends.add(number)
        return number

    def _node(self, index: int, place: Place) -> None:
        flow, graph = self.flow, place.graph
        flow.ops.append(place.op)
        known = self.known.setdefault(graph, {})
        inputs = [known[n] if n in known else self.value(graph, n) for n in place.inputs]
        flow.inputs.append(inputs)
        outputs = [self._made(index, graph, name) for name in place.outputs]
        flow.outputs.append(outputs)
        constant, moving = flow.constant, False
        for slot, number in enumerate(inputs):
            if number >= 0:
                flow.users[number].append((index, slot))
                moving = moving or not constant[number]
        if not moving and not place.subgraphs and place.op not in DRAWS and max(inputs, default=-1) >= 0:
            for number in outputs:
                if number >= 0:
                    constant[number] = True
        self._link(index, place)

    def _made(self, index: int, graph: Graph, name: str) -> int:
        """The number of what node ``index`` makes.  A name that two nodes make is the first one's."""
        number = self.value(graph, name)
        if number >= 0 and self.flow.maker[number] >= 0:
            return -1
        if number >= 0:
            self.flow.maker[number] = index
        return number

    def _link(self, index: int, place: Place) -> None:
        """How the axes of what a node makes follow from those of what it reads."""
        flow, inputs, outputs = self.flow, self.flow.inputs[index], self.flow.outputs[index]
        found = axis_links(flow.view(index))
        sound = tuple([k for k in found.links if self._sound(index, k)])
        flow.links.append(sound)
        flow.free.append(found.free and not place.subgraphs and len(sound) == len(found.links))
        onward: dict[int, list[int]] = {}
        back: dict[int, list[int]] = {}
        flow.onward.append(onward)
        flow.back.append(back)
        for link in sound:
            target, source = outputs[link.target], inputs[link.source]
            onward.setdefault(link.source, []).append(target)
            back.setdefault(target, []).append(source)
            # What an operator makes goes before what the file says of it.
            rank = flow.ranks[source] if link.axes is None else len(link.axes)
            flow.ranks[target] = flow.ranks[target] if rank is None else rank

    def _sound(self, index: int, link: Link) -> bool:
        """Whether both ends are there, and the input has the axes that the link speaks of."""
        flow = self.flow
        if link.source >= len(flow.inputs[index]) or link.target >= len(flow.outputs[index]):
            return False
        source, target = flow.inputs[index][link.source], flow.outputs[index][link.target]
        if source < 0 or target < 0 or source == target:
            return False
        rank = flow.ranks[source]
        if link.axes is None:
            return link.only is None or rank is None or len(link.only) == rank
        return rank is None or max((a for a in link.axes if a is not None), default=-1) < rank

    def _border(self, model: ModelProto) -> None:
        flow = self.flow
        main = next((p.graph for p in flow.places if p.graph.kind == "graph"), None)
        if main is None:
            return
        numbers = self.known.setdefault(main, {})
        for value in model.graph.input:
            number = numbers.get(value.name)
            if number is not None and value.name not in self.held and flow.maker[number] < 0:
                flow.graph_inputs[number] = value.name
        for value in model.graph.output:
            number = numbers.get(value.name)
            if number is not None:
                flow.graph_outputs[number] = value.name


def _spread(names: str, rank: int, last: bool) -> Names | None:
    """(N, C, spatial …) or (N, spatial …, C); for a weight the first two letters are its own."""
    if rank == 2:
        return tuple(names)
    spatial = _SPATIAL.get(rank - 2)
    if spatial is None:
        return None
    return (names[0], *spatial, names[1]) if last else (*names, *spatial)


def _channels_last(place: Place, op: str) -> bool | None:
    """Whether an operator is bound to channels last (``True``) or second (``False``); ``None``: it is not bound."""
    if op in _SLOTS:
        return False
    if op in _EITHER:
        given = place.attributes.get("channels_last", _EITHER[op])
        return bool(given) if isinstance(given, int) else None
    return True if op in _LAST or op.startswith(_LAST_DOMAIN) else None


def _rank_of(flow: Flow, index: int) -> int | None:
    """The rank of the data of a node that is bound to a layout."""
    ins, weight = flow.inputs[index], _WEIGHTS.get(flow.ops[index])
    candidates = [flow.source(index), flow.result(index)]
    if weight is not None and weight[0] < len(ins):
        candidates.insert(0, ins[weight[0]])
    ranks = (flow.ranks[v] for v in candidates if v >= 0)
    return next((r for r in ranks if r is not None), None)


def _seeds(flow: Flow, index: int) -> Iterable[tuple[int, Names | None]]:
    """What one node says of the axes of its operands, by value."""
    place, ins, outs = flow.places[index], flow.inputs[index], flow.outputs[index]
    op = flow.ops[index]
    last = _channels_last(place, op)
    if last is not None:
        flow.bound.add(index)
        rank = _rank_of(flow, index)
        names = _spread("NC", rank, last) if rank is not None else None
        for slot in _SLOTS.get(op, (0,)):
            if slot < len(ins):
                yield ins[slot], names
        # The other outputs of a BatchNormalization are statistics, those of a MaxPool indices in the same places.
        for slot in range(2 if op == "MaxPool" else 1):
            if slot < len(outs):
                yield outs[slot], names
    if op in _WEIGHTS:
        slot, letters = _WEIGHTS[op]
        rank = None if slot >= len(ins) or ins[slot] < 0 else flow.ranks[ins[slot]]
        if rank is not None and rank > 2:
            yield ins[slot], _spread(letters, rank, False)
    elif op in _DENSE:
        yield from _dense(flow, index, place, ins)


def _dense(flow: Flow, index: int, place: Place, ins: list[int]) -> Iterable[tuple[int, Names | None]]:
    held = place.attributes if place.op == "Gemm" else {}
    for side, slot in enumerate(_DENSE[place.op]):
        value = ins[slot] if slot < len(ins) else -1
        other = _DENSE[place.op][1 - side]
        beside = ins[other] if other < len(ins) else -1
        # Of two constants neither is the weight, of none neither either.
        if value < 0 or beside < 0 or not flow.constant[value] or flow.constant[beside] or flow.ranks[value] != 2:
            continue
        turned = bool(held.get("transB" if side else "transA"))
        yield value, tuple("OI" if turned == bool(side) else "IO")


class _Walk:
    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.fixed: set[int] = set()
        self.waiting: deque[int] = deque()
        self.forward: list[list[tuple[int, Link]]] = [[] for _ in flow.names]
        self.backward: list[list[tuple[int, Link]]] = [[] for _ in flow.names]
        for index, links in enumerate(flow.links):
            for link in links:
                source, target = flow.inputs[index][link.source], flow.outputs[index][link.target]
                self.forward[source].append((target, link))
                self.backward[target].append((source, link))

    def seed(self, value: int, names: Names) -> None:
        flow = self.flow
        if flow.ranks[value] not in (None, len(names)) and flow.maker[value] < 0:
            return
        if value in self.fixed and flow.axes[value] != names:
            flow.contested.add(value)
            return
        self.fixed.add(value)
        self._set(value, names)

    def _set(self, value: int, names: Names) -> None:
        self.flow.axes[value] = names
        self.flow.ranks[value] = len(names)
        self.waiting.append(value)

    def claim(self, value: int, names: Names) -> None:
        flow = self.flow
        if value in flow.contested or not any(names) or flow.ranks[value] not in (None, len(names)):
            return
        old = flow.axes[value] or ("",) * len(names)
        if value in self.fixed:
            return
        merged = tuple(a or b for a, b in zip(old, names, strict=True))
        if any(a and b and a != b for a, b in zip(old, names, strict=True)):
            if canonical(old) != canonical(names):
                flow.contested.add(value)
            return
        letters = "".join(merged)
        if len(set(letters)) != len(letters):
            flow.contested.add(value)
        elif merged != flow.axes[value]:
            self._set(value, merged)

    def run(self) -> None:
        while self.waiting:
            value = self.waiting.popleft()
            names = self.flow.axes[value]
            if names is None or value in self.flow.contested:
                continue
            if not self.flow.constant[value]:
                for target, link in self.forward[value]:
                    self.claim(target, _along(names, link))
            for source, link in self.backward[value]:
                self.claim(source, _against(names, link, self.flow.ranks[source]))


def _passes(name: str, only: str, forward: bool) -> bool:
    if only == PLAIN:
        return len(name) == 1
    if only == CHANNELS:
        return name == "C"
    return only != BACKWARD or not forward


def _along(names: Names, link: Link) -> Names:
    if link.axes is None:
        return _filtered(names, link, True)
    found = [names[a] if a is not None and a < len(names) else "" for a in link.axes]
    for axis, parts in link.merged:
        letters = [names[a] if a < len(names) else "" for a in parts]
        found[axis] = "".join(letters) if all(letters) else ""
    return _filtered(tuple(found), link, True)


def _filtered(names: Names, link: Link, forward: bool) -> Names:
    """The names that a link lets pass; none where it is of other axes."""
    if link.only is None:
        return names
    if len(link.only) != len(names):
        return ()
    return tuple(n if _passes(n, o, forward) else "" for n, o in zip(names, link.only, strict=True))


def _against(names: Names, link: Link, rank: int | None) -> Names:
    names = _filtered(names, link, False)
    if link.axes is None or not names:
        return names
    if rank is None:
        # Only a permutation of all axes says how many there were.
        if sorted(a for a in link.axes if a is not None) != list(range(len(link.axes))):
            return ()
        rank = len(link.axes)
    found = [""] * rank
    told = [(axis, name) for name, axis in zip(names, link.axes, strict=False) if axis is not None]
    for axis, parts in link.merged:
        merged = names[axis] if axis < len(names) else ""
        if len(merged) == len(parts):
            told += zip(parts, merged, strict=True)
    for axis, name in told:
        if axis < rank:
            found[axis] = name
    return tuple(found)


def _hint(flow: Flow, index: int) -> Names | None:
    """What a Resize of four or five axes leaves alone: N and C, if they are the first two or the first and the last."""
    source = flow.source(index)
    rank = flow.ranks[source] if source >= 0 else None
    if rank not in (4, 5) or "axes" in flow.places[index].attributes:
        return None
    scaled = _scaled(flow.places[index], rank)
    if scaled is None or scaled[0]:
        return None
    if not scaled[1] and all(scaled[2:]):
        return _spread("NC", rank, False)
    return _spread("NC", rank, True) if all(scaled[1:-1]) and not scaled[-1] else None


def _scaled(place: Place, rank: int) -> list[bool] | None:
    """Which axes a Resize or Upsample scales, by its scales or, where these are not known, by the shapes."""
    scaled: list[bool] | None = None
    for slot in (1, 2) if place.op == "Resize" else (1,):
        tensor = place.graph.tensor(place.inputs[slot]) if slot < len(place.inputs) else None
        values = array(tensor) if tensor is not None and elements(tensor) == rank else None
        if values is not None and np.issubdtype(values.dtype, np.floating):
            scaled = [float(v) != 1.0 for v in values.reshape(-1)]
    dims = place.graph.shape(place.inputs[0])
    made = place.graph.shape(place.outputs[0]) if place.outputs else None
    if scaled is not None or dims is None or made is None or not len(dims) == len(made) == rank:
        return scaled
    if None in dims[1:] or None in made[1:]:
        return None
    return [d != m for d, m in zip(dims, made, strict=True)]


def flow_of(places: Sequence[Place], model: ModelProto) -> Flow:
    """Every value of a model and the names of its axes.

    ``places`` are the model's nodes, best with inferred shapes and without large initializers, as
    ``facts.model_view.ModelView.places`` has them; ``model`` is the model itself, which knows its initializers.
    """
    flow = _Wiring(places, model).flow
    walk = _Walk(flow)
    for index in range(len(flow.places)):
        for value, names in _seeds(flow, index):
            if value >= 0 and names is not None:
                walk.seed(value, names)
    walk.run()
    for index, op in enumerate(flow.ops):
        if op in ("Resize", "Upsample"):
            names = _hint(flow, index)
            source = flow.source(index)
            if names is not None and flow.axes[source] is None:
                walk.claim(source, names)
    walk.run()
    return flow


__all__ = ["WEIGHT_SLOTS", "Flow", "Names", "canonical", "flow_of", "word"]
