"""Every Transpose of a graph: which change of layout it is, for whom, and what it would take to be rid of it.

Design note.  What a permutation means is decided by the layouts that ``facts.layouts`` found on its two
sides.  Where both are known and one is not the permutation of the other, it is no change of layout but a real
permutation.  Only where nothing is known is the permutation read by itself, and not even then beside a product of two
activations or a Reshape that splits axes: attention uses the same permutations.

Two Transposes cancel where everything that reaches the second, through nodes that do not care for the order of axes,
comes out of the inverse of it, or is a constant.  Whether they vanish together is asked of the whole region between
Transposes: nothing else may flow into it or out of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from onnx import ModelProto, TensorProto
from onnx.helper import tensor_dtype_to_np_dtype

from onnx_triangulate.facts.layouts import Flow, Names, flow_of, word
from onnx_triangulate.onnxgraph.graph import places
from onnx_triangulate.onnxgraph.inference import with_inferred_shapes
from onnx_triangulate.ops.axis_propagation import permutation
from onnx_triangulate.ops.registry import operators
from onnx_triangulate.records.graphs import Transpose

_BY_ITSELF = {
    (0, 3, 1, 2): ("NHWC", "NCHW"),
    (0, 2, 3, 1): ("NCHW", "NHWC"),
    (0, 4, 1, 2, 3): ("NDHWC", "NCDHW"),
    (0, 2, 3, 4, 1): ("NCDHW", "NDHWC"),
    (2, 3, 1, 0): ("OIHW", "HWIO"),
    (2, 3, 4, 1, 0): ("OIDHW", "DHWIO"),
}
_PRODUCTS = {name: op.matrices for name, op in operators().items() if op.matrices is not None and name != "Gemm"}
_BITS = {
    TensorProto.INT4: 4,
    TensorProto.UINT4: 4,
    TensorProto.FLOAT4E2M1: 4,
}
_FAR = 64


@dataclass
class Cone:
    """What is reached from one value: ``nodes`` passed through, ``values`` seen, ``ends`` at which it stopped.

    ``border`` are the graph's inputs or outputs among the values, ``open`` says that something else was met that is
    no node (the output of a subgraph, a value that nobody makes), ``cut`` that it grew too large to be followed.
    """

    nodes: dict[int, None] = field(default_factory=dict)
    values: set[int] = field(default_factory=set)
    ends: dict[int, None] = field(default_factory=dict)
    border: dict[int, None] = field(default_factory=dict)
    open: bool = False
    cut: bool = False


Passes = Callable[[int], bool]


def downstream(flow: Flow, start: int, passes: Passes) -> Cone:
    """Where a value flows, through nodes that ``passes`` and have a link from it."""
    cone, waiting, left = Cone(), [start], _FAR
    while waiting and left > 0:
        value = waiting.pop()
        if value in cone.values:
            continue
        cone.values.add(value)
        if value in flow.graph_outputs:
            cone.border[value] = None
        elif value in flow.ends:
            cone.open = True
        for index, slot in flow.users[value]:
            left -= 1
            targets = flow.onward[index].get(slot)
            if targets and passes(index):
                cone.nodes[index] = None
                waiting += targets[:_FAR]
                left = 0 if len(flow.links[index]) > _FAR else left
            else:
                cone.ends[index] = None
            if left <= 0:
                break
    cone.cut = left <= 0
    return cone


def upstream(flow: Flow, start: int, passes: Passes) -> Cone:
    """Where a value comes from; constants are left aside."""
    cone, waiting, left = Cone(), [start], _FAR
    while waiting and left > 0:
        value = waiting.pop()
        if value in cone.values or flow.constant[value]:
            continue
        left -= 1
        cone.values.add(value)
        index = flow.maker[value]
        if index < 0:
            if value in flow.graph_inputs:
                cone.border[value] = None
            else:
                cone.open = True
            continue
        sources = flow.back[index].get(value)
        if sources and passes(index):
            cone.nodes[index] = None
            waiting += sources[:_FAR]
            left = 0 if len(flow.links[index]) > _FAR else left
        else:
            cone.ends[index] = None
    cone.cut = left <= 0
    return cone


def _composes(first: tuple[int, ...], second: tuple[int, ...]) -> bool:
    """Whether ``first``, then ``second``, is the identity."""
    return len(first) == len(second) and all(first[p] == i for i, p in enumerate(second))


def _product(flow: Flow, index: int) -> bool:
    """Whether a node multiplies two activations, or is an attention in one piece."""
    op = flow.ops[index]
    if "Attention" in op:
        return True
    slots = _PRODUCTS.get(op)
    if slots is None:
        return False
    ins = flow.inputs[index]
    return all(s < len(ins) and ins[s] >= 0 and not flow.constant[ins[s]] for s in slots)


def _changes_rank(flow: Flow, index: int) -> int:
    """By how many axes a Reshape's output has more than its input."""
    if flow.ops[index] != "Reshape":
        return 0
    ins, outs = flow.inputs[index], flow.outputs[index]
    if not ins or not outs or min(ins[0], outs[0]) < 0:
        return 0
    old, new = flow.ranks[ins[0]], flow.ranks[outs[0]]
    return 0 if old is None or new is None else new - old


@dataclass(frozen=True)
class _Beside:
    """What stands beside a Transpose: a Reshape that splits axes before it, one that merges them after it, a product
    of two activations before or after it."""

    splits: bool
    merges: bool
    product_before: bool
    product_after: bool

    @property
    def attention(self) -> bool:
        return (self.splits and self.product_after) or (self.product_before and self.merges)

    @property
    def anything(self) -> bool:
        return self.splits or self.merges or self.product_before or self.product_after


def _beside(flow: Flow, source: int, result: int) -> _Beside:
    back = upstream(flow, source, lambda n: flow.free[n])
    after = downstream(flow, result, lambda n: flow.free[n])
    kin = downstream(flow, result, lambda n: flow.ops[n] not in ("Reshape", "Flatten"))
    return _Beside(
        splits=any(_changes_rank(flow, n) > 0 for n in back.ends),
        merges=any(_changes_rank(flow, n) < 0 for n in after.ends),
        product_before=any(_product(flow, n) for n in back.ends),
        product_after=any(_product(flow, n) for n in kin.ends),
    )


def _names(flow: Flow, value: int) -> Names | None:
    """The names of a value's axes where all are known."""
    names = None if value in flow.contested else flow.axes[value]
    return names if names and all(names) else None


def _kind(flow: Flow, source: int, result: int, perm: tuple[int, ...]) -> str:
    if perm == tuple(range(len(perm))):
        return "identity"
    if perm == (1, 0):
        return "matrix"
    before, after = _names(flow, source), _names(flow, result)
    if before is not None and len(before) == len(perm):
        permuted = tuple(before[p] for p in perm)
        # The names may be those of an axis more or less than its own operators use: H of one is W of the other.
        if after is None and result not in flow.contested:
            after = permuted
        return f"{word(before)}->{word(permuted)}" if after is not None and word(after) == word(permuted) else "other"
    if after is not None and source not in flow.contested and len(after) == len(perm):
        back = [""] * len(perm)
        for name, p in zip(after, perm, strict=True):
            back[p] = name
        return f"{word(tuple(back))}->{word(after)}"
    if source in flow.contested or result in flow.contested:
        return "other"
    return _by_itself(flow, source, result, perm)


def _by_itself(flow: Flow, source: int, result: int, perm: tuple[int, ...]) -> str:
    """What a permutation is of values whose layout is not known."""
    beside = _beside(flow, source, result)
    swap = len(perm) > 2 and perm[:-2] == tuple(range(len(perm) - 2))
    if beside.attention and len(perm) > 2:
        return "attention"
    if swap:
        return "batch of matrices"
    read = _BY_ITSELF.get(perm)
    if read is None or beside.anything:
        return "other"
    for value, letters in zip((source, result), read, strict=True):
        known = flow.axes[value]
        if known is not None and any(k and k != letter for k, letter in zip(known, letters, strict=False)):
            return "other"
    return f"{read[0]}->{read[1]}"


_MOST_ELEMENTS = 1 << 60


def _bytes(flow: Flow, index: int) -> int | None:
    """What a Transpose moves."""
    place = flow.places[index]
    for name in (*place.inputs[:1], *place.outputs[:1]):
        dims, kind = place.graph.shape(name), place.graph.type(name)
        if kind is None:
            kind = next((k for n in place.outputs[:1] if (k := place.graph.type(n)) is not None), None)
        if dims is None or kind is None or None in dims:
            continue
        try:
            bits = _BITS.get(kind) or tensor_dtype_to_np_dtype(kind).itemsize * 8
        except (KeyError, TypeError, ValueError):
            return None
        if kind == TensorProto.STRING:
            return None
        count = 1
        for dim in dims:
            count = min(count * (dim or 0), _MOST_ELEMENTS)
        return (count * bits + 7) // 8 if count < _MOST_ELEMENTS else None  # no memory holds that: the dims lie
    return None


@dataclass
class _Step:
    """One Transpose under way: its values, what lies before and after it."""

    index: int
    source: int
    result: int
    perm: tuple[int, ...]
    before: Cone
    after: Cone
    cancels: dict[int, None] = field(default_factory=dict)
    through: dict[int, None] = field(default_factory=dict)
    border: tuple[int, ...] = ()


def _cancel(found: dict[int, _Step]) -> None:
    for step in found.values():
        ends = step.before.ends
        if not ends or step.before.border or step.before.open or step.before.cut:
            continue
        partners = [found.get(n) for n in ends]
        if not all(p is not None and _composes(p.perm, step.perm) for p in partners):
            continue
        for partner in partners:
            if partner is not None:
                partner.cancels[step.index] = None
                step.cancels[partner.index] = None


def _between(step: _Step, found: dict[int, _Step]) -> dict[int, None]:
    """The nodes between a Transpose and those that it cancels with."""
    nodes: dict[int, None] = {}
    for partner in (found[n] for n in step.cancels):
        first, last = (step, partner) if partner.before.ends.keys() >= {step.index} else (partner, step)
        nodes |= {n: None for n in last.before.nodes if n in first.after.nodes or first.after.cut}
    return nodes


def _move(flow: Flow, step: _Step) -> None:
    """Whether a Transpose that cancels with none could stand at the graph's inputs or outputs instead."""
    after, before = step.after, step.before
    if _only_border(after):
        sources = (flow.inputs[n][k.source] for n in after.nodes for k in flow.links[n])
        if all(flow.constant[v] or v in after.values for v in sources):
            step.through, step.border = after.nodes, tuple(after.border)
            return
    if _only_border(before):
        inner = before.values - set(before.border) if step.source not in before.border else set()
        users = {n for v in inner for n, _ in flow.users[v]}
        made = {v for n in before.nodes for v in flow.outputs[n] if v >= 0 and (flow.users[v] or v in flow.ends)}
        if inner.isdisjoint(flow.ends) and users <= {step.index, *before.nodes} and made <= before.values:
            step.through, step.border = before.nodes, tuple(before.border)


def _only_border(cone: Cone) -> bool:
    """Whether all ways end at the graph's inputs or outputs."""
    return bool(cone.border) and not (cone.ends or cone.open or cone.cut)


class _Regions:
    """Values that free nodes connect, and which Transposes close such a region off from the rest of the graph."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.parent = list(range(len(flow.names)))
        for index, links in enumerate(flow.links):
            if flow.free[index]:
                for link in links:
                    source, target = flow.inputs[index][link.source], flow.outputs[index][link.target]
                    if not flow.constant[source]:
                        self.parent[self.of(source)] = self.of(target)

    def of(self, value: int) -> int:
        while self.parent[value] != value:
            self.parent[value] = self.parent[self.parent[value]]
            value = self.parent[value]
        return value

    def closed(self, found: dict[int, _Step]) -> list[set[int]]:
        """The Transposes around each region that only they enter, all of one permutation, and leave, by its inverse.

        None is in two of them: of three in a row two vanish.
        """
        flow = self.flow
        enters: dict[int, list[_Step]] = {}
        leaves: dict[int, list[_Step]] = {}
        torn: set[int] = set()
        for value in range(len(flow.names)):
            if flow.constant[value]:
                continue
            region, made_by = self.of(value), flow.maker[value]
            step = found.get(made_by)
            if value in flow.ends:
                torn.add(region)
            if step is not None:
                enters.setdefault(region, []).append(step)
            elif made_by < 0 or not self._inside(made_by, value, made=True):
                torn.add(region)
            for index, slot in flow.users[value]:
                step = found.get(index)
                if step is not None:
                    leaves.setdefault(region, []).append(step)
                elif not self._inside(index, slot, made=False):
                    torn.add(region)
        taken: set[int] = set()
        regions = []
        for region, first in enters.items():
            last = leaves.get(region, [])
            around = {s.index for s in (*first, *last)}
            if region in torn or not last or around & taken or len({s.perm for s in first}) > 1:
                continue
            # One that was not followed far enough to know its partners keeps all from being said to vanish.
            known = all(around & set(s.cancels) for s in (*first, *last))
            if known and all(_composes(first[0].perm, s.perm) for s in last):
                taken |= around
                regions.append(around)
        return regions

    def _inside(self, index: int, what: int, made: bool) -> bool:
        """Whether a free node links its output ``what``, or its input slot ``what``, with its other side."""
        flow = self.flow
        if not flow.free[index]:
            return False
        return what in (flow.back if made else flow.onward)[index]


def transposes_of(flow: Flow) -> tuple[Transpose, ...]:
    """Every Transpose, in the file's order; see ``records.graphs.Transpose``.

    ``kind`` is ``NHWC->NCHW`` and its relatives, ``HWIO->OIHW`` for a weight, where layouts are known or the
    permutation names them by itself; ``matrix``, ``batch of matrices``, ``attention`` (heads apart or together again),
    ``identity``, ``other`` (a real permutation, or nothing is known); ``unknown`` (with an empty permutation) where it
    has none written and the rank is not known; ``invalid`` where what is written is no permutation.
    """
    steps = [index for index, op in enumerate(flow.ops) if op == "Transpose"]
    read = {index: _permutation_of(flow, index) for index in steps}
    found = {index: _step(flow, index, perm) for index, (perm, kind) in read.items() if not kind}
    if not read:
        return ()
    _cancel(found)
    vanish: set[int] = set()
    for around in _Regions(flow).closed(found):
        vanish |= around
        for index in around:
            for other in [n for n in found[index].cancels if n not in around]:
                # It is taken by those around its other side.
                del found[index].cancels[other], found[other].cancels[index]
    for step in found.values():
        step.through = _between(step, found)
    made = []
    for index, (perm, kind) in read.items():
        own = found.get(index)
        if own is None:
            made.append(Transpose(flow.places[index].name, perm, kind, bytes=_bytes(flow, index)))
            continue
        if not own.cancels and not flow.constant[own.source]:
            _move(flow, own)
        made.append(_record(flow, own, index in vanish))
    return tuple(made)


def _permutation_of(flow: Flow, index: int) -> tuple[tuple[int, ...], str]:
    """The permutation of a Transpose, and its kind where it cannot be followed; ``""`` where it can."""
    node = flow.view(index)
    perm = permutation(node)
    ins, outs = flow.inputs[index], flow.outputs[index]
    if perm is None:
        return (), "unknown"
    if not perm:
        # A scalar has no axes to name, and its empty permutation is the identity.
        written = node.held.get("perm", ())
        scalar = perm == () and ins and ins[0] >= 0 and flow.ranks[ins[0]] == 0 and not written
        numbers = isinstance(written, tuple) and all(isinstance(p, int) for p in written)
        return written if numbers else (), "identity" if scalar else "invalid"
    if not flow.links[index]:
        # Its input is missing, or of another rank than the permutation.
        return perm, "invalid" if ins and outs and min(ins[0], outs[0]) >= 0 else "other"
    return perm, ""


def _step(flow: Flow, index: int, perm: tuple[int, ...]) -> _Step:
    source, result = flow.inputs[index][0], flow.outputs[index][0]
    before = upstream(flow, source, lambda n: flow.free[n])
    return _Step(index, source, result, perm, before, downstream(flow, result, lambda n: flow.free[n]))


def _record(flow: Flow, step: _Step, vanishes: bool) -> Transpose:
    def named(nodes: dict[int, None]) -> tuple[str, ...]:
        return tuple(flow.places[n].name for n in sorted(nodes))

    return Transpose(
        node=flow.places[step.index].name,
        perm=step.perm,
        kind=_kind(flow, step.source, step.result, step.perm),
        needed_by=named({n: None for n in step.after.ends if n not in step.cancels}),
        cancels_with=named(step.cancels),
        through=named(step.through),
        movable_to=tuple(flow.graph_outputs.get(v) or flow.graph_inputs[v] for v in step.border),
        bytes=_bytes(flow, step.index),
        on_constant=flow.constant[step.source],
        removable=vanishes,
    )


def transposes(model: ModelProto) -> tuple[Transpose, ...]:
    """:func:`transposes_of` a model by itself."""
    if not any(p.op == "Transpose" for p in places(model)):
        return ()
    shaped = with_inferred_shapes(model)
    return transposes_of(flow_of(places(model if shaped is None else shaped), model))
