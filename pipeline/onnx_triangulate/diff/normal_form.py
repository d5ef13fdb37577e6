"""A graph in normal form: the same for all the ways in which exporters and optimizers write one computation.

Design note.  Nodes are taken in the file's order, nothing is run.  What has no effect leaves no step (Identity,
Dropout, a Cast to the type that is there already, zeros added); Transposes and Reshapes become the way in which an
operand is seen and pass through element-wise operators, Concat, Softmax, reductions; constants of constants are folded;
a bias is an Add wherever it is written; a constant Pad goes into the sliding window behind it; Gemm is MatMul, Relu and
Min/Max are Clip, GlobalAveragePool is ReduceMean; small constant operands are attributes under their formal names,
whatever the opset calls an input.  Anything that is not understood stays as it is: then the comparison says more, never
less.

An input that is only ever read through one Transpose is taken as transposed already (`Builder.reframed`), so that a
border in NHWC is a fact about the border and about nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence

from onnx import ModelProto

from onnx_triangulate.diff import indexing as _indexing_rules  # noqa: F401 - the same
from onnx_triangulate.diff import windows as _windows_rules  # noqa: F401 - rules register on import
from onnx_triangulate.diff.builder import Builder
from onnx_triangulate.diff.formatting import between_perms, in_order
from onnx_triangulate.diff.ir import Ints, NormalForm, Ref
from onnx_triangulate.diff.matching import match_values
from onnx_triangulate.diff.operators import FOLLOWS
from onnx_triangulate.facts import pads as _pads
from onnx_triangulate.facts.view import View
from onnx_triangulate.onnxgraph.graph import Graph
from onnx_triangulate.onnxgraph.inference import with_inferred_shapes
from onnx_triangulate.onnxgraph.inlining import Key, called_in, inlined_model, written_bodies
from onnx_triangulate.onnxgraph.nodes import opset, printable, text, without_large_initializers
from onnx_triangulate.onnxgraph.weights import Weights

_NAMED = 4
_MOST_VALUES = 1000  # behind an input
_CONSTANTS_ARE_NO_INPUTS = 4  # from this IR version on: before, all had to be inputs, and nobody could replace them


def normal_form(view: View, as_declared: Collection[str] = ()) -> NormalForm:
    """The main graph of a model in normal form; the inputs ``as_declared`` keep the order of their axes."""
    model, shaped, kept, notes = _inlined(view)
    weights = Weights(view.model, view.file.parent if view.file is not None else None)
    windows: dict[str, list[_pads.Window]] = {}
    for window in _pads.windows(shaped):
        windows.setdefault(window.node, []).append(window)

    def build(frames: Mapping[str, Ints]) -> NormalForm:
        queues = {name: deque(found) for name, found in windows.items()}

        def window(name: str) -> _pads.Window | None:
            return queues[name].popleft() if queues.get(name) else None

        builder = Builder(Graph(shaped.graph).declare(), opset(model), window, functions=kept)
        return builder.form(model.graph, weights, {}, (), frames)

    made = build({})
    frames = {name: perm for name, perm in reframed(made).items() if name not in as_declared}
    if frames:
        made = build(frames)
    made.notes[:0] = notes
    if model.ir_version >= _CONSTANTS_ARE_NO_INPUTS:
        stored = {tensor.name for tensor in model.graph.initializer}
        made.replaceable = tuple(text(i.name) for i in model.graph.input if i.name in stored)
    return made


def _inlined(view: View) -> tuple[ModelProto, ModelProto, Mapping[Key, str], Sequence[str]]:
    """A model with its functions in place of their calls, a copy of that with shapes, a digest of each function that is
    not entered, and notes."""
    model = view.model
    if not model.functions:
        return model, view.shaped, {}, ()
    inlined = inlined_model(model)
    made = inlined or model
    kept = written_bodies(made, str(view.file.parent.resolve() if view.file is not None else id(view)))
    notes = []
    called = [key for key in dict.fromkeys(called_in(made.graph)) if key in kept]
    if called:
        who = [printable(".".join(filter(None, key[:2])), 60) for key in called[:_NAMED]]
        rest = f" and {len(called) - _NAMED} more" if len(called) > _NAMED else ""
        notes.append(f"local functions are not entered, but compared as they are written: {', '.join(who)}{rest}")
    if inlined is not None:
        return inlined, with_inferred_shapes(inlined) or inlined, kept, notes
    bare = without_large_initializers(model)
    bare.ClearField("functions")  # inference would enter them
    return model, with_inferred_shapes(bare) or bare, kept, notes


def normal_forms(left: View, right: View) -> tuple[NormalForm, NormalForm]:
    """Both in normal form.  An input that one side reads through a Transpose only, and the other does not, has its axes
    in another order there if the declared sizes say so; else it is one input and the Transpose is a step of one side.
    """
    first, second = normal_form(left), normal_form(right)
    kept: tuple[set[str], set[str]] = (set(), set())
    for ours, theirs in match_values(first.inputs, second.inputs):
        one, two = first.inputs[ours], second.inputs[theirs]
        if isinstance(one.operand, Ref) and isinstance(two.operand, Ref):
            between = between_perms(one.operand.perm, two.operand.perm)
            if between is not None and in_order(one.dims, two.dims, between):
                kept[0].add(one.name)
                kept[1].add(two.name)
    if not kept[0]:
        return first, second
    return normal_form(left, kept[0]), normal_form(right, kept[1])


def reframed(form: NormalForm) -> dict[str, Ints]:
    """The inputs that everybody reads through one and the same permutation, and which.

    Element-wise operators take the layout of what they read, so their readers are asked in their place.
    """
    found = {}
    for border in form.inputs:
        if not isinstance(border.operand, Ref) or border.name in form.captured or len(border.dims or ()) < 2:
            continue
        perms = _permutations(form, border.operand.value)
        if len(perms) == 1 and (perm := perms.pop()) is not None:
            found[border.name] = perm
    return found


def _permutations(form: NormalForm, source: int) -> set[Ints | None]:
    """Those by which a value is read, as it is or behind element-wise operators."""
    perms: set[Ints | None] = set()
    waiting, seen = [source], set[int]()
    while waiting and len(seen) < _MOST_VALUES:
        value = waiting.pop()
        for index, ref in form.readers.get(value, ()) if value not in seen else ():
            step = form.steps[index]
            if ref.plain and step.op in FOLLOWS:
                waiting += step.outputs
            else:
                perms.add(ref.perm if ref.shape is None else None)
        seen.add(value)
    return perms
