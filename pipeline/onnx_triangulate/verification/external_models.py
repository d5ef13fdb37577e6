"""A file that somebody else exported, taken in place of a fresh export: how its border maps to the case's.

Design note.  Inputs match by name, those that are left by position where type and shape leave no doubt, and that is
said.  TensorFlow's arrays may stand at the border in its own order of axes or in the case's: the declared shape tells
which; where it fits both, nobody guesses (``tensorflow:nchw=FILE`` says NCHW, ``tensorflow=FILE`` TensorFlow's order).
A file's outputs may come in another order than the model's, whatever they are called.  No border shows that, a run
does: :func:`reordered` proposes the order in which they are nearest to the native run, for somebody else to judge.
Two inputs may have each other's names as well (:func:`exchanged`).
What cannot be a graph of this case at all (no ONNX, no outputs, other inputs) is a failure of the kind ``builder``, the
command's input is unusable; whether a graph with the right border means the model is for the run to show.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import onnx

from onnx_triangulate.cases import inputs, layout
from onnx_triangulate.engines import running
from onnx_triangulate.engines.frameworks import adapter
from onnx_triangulate.engines.runtimes import runtimes
from onnx_triangulate.facts.file import load
from onnx_triangulate.records.arrays import Array, ArrayFile
from onnx_triangulate.records.case import Case, CaseRef, Tensor
from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Failure, Model, Run

_MOST_PAIRS = 45  # of ten inputs; each is a run
Dims = tuple[int | None, ...] | None


def external_model(ref: CaseRef, graph: str, file: Path, native: Run, weights: Path | None, seed: int) -> Model:
    """``file`` as the export ``graph`` of a case whose framework answered ``native``.

    ``weights`` is an ``.npz`` of the source's own constants.
    """
    case = running.loaded(ref, seed)
    try:
        proto = load(file)
        if not proto.graph.output:
            raise UnusableInput(f"{file}: its graph has no outputs, expected an ONNX model that computes something")
        interface = _Interface(case, Party.parse(graph), proto, file)
        inputs, input_axes = interface.inputs()
        outputs, output_axes = interface.outputs(native)
    except UnusableInput as error:
        return Model(graph, error=Failure("builder", str(error)), external=True)
    notes, axes = (f"the given file {file.name}", *interface.notes), input_axes | output_axes
    return Model(graph, file, None, inputs, outputs, axes, weights, notes=notes, external=True)


@dataclass(frozen=True)
class _Interface:
    """The inputs and outputs of an external graph, matched to a case's; ``notes`` say what was not matched by name."""

    case: Case
    party: Party
    proto: onnx.ModelProto
    file: Path
    notes: list[str] = field(default_factory=list)

    def inputs(self) -> tuple[dict[str, str], dict[str, str]]:
        """By the case's names, the graph's inputs, and the order of axes of each.

        Raises :class:`UnusableInput` where the graph is none of this case.
        """
        stored = {tensor.name for tensor in self.proto.graph.initializer}
        wanted = {value.name: value for value in self.proto.graph.input if value.name not in stored}
        matched = self._matched_inputs(wanted)
        axes = {name: self._input_axes(name, wanted[border]) for name, border in matched.items()}
        return {name: matched[name] for name in self.case.inputs if name in matched}, axes

    def _matched_inputs(self, wanted: Mapping[str, onnx.ValueInfoProto]) -> dict[str, str]:
        """By name, those that are left by position."""
        spellings = ((name, border) for name in self.case.inputs for border in (f"{name}:0", name))
        matched = {name: border for name, border in spellings if border in wanted}
        left = [name for name in wanted if name not in matched.values()]
        unmatched = [name for name in self.case.inputs if name not in matched]
        if left and len(left) == len(unmatched):
            matched |= self._by_position("inputs", unmatched, left)
        elif left:
            own = ", ".join(self.case.inputs)
            raise UnusableInput(
                f"{self.file}: wants inputs {', '.join(map(repr, left))}; those of {self.case.name} are {own}"
            )
        elif unmatched:
            self.notes.append(f"the graph has no input {', '.join(unmatched)}")
        return matched

    def _input_axes(self, name: str, value: onnx.ValueInfoProto) -> str:
        """The order of an input's axes, told by its declared type and shape."""
        tensor, (dtype, dims) = self.case.inputs[name], _declared(value)
        shape = tensor.shape if tensor.shape is not None else np.shape(tensor.values)
        fitting = _fitting(tensor, shape, self.party, dims)
        if not fitting or (dtype is not None and dtype != np.dtype(tensor.dtype)):
            due = f"the case feeds {tensor.dtype}{list(shape)} ({tensor.axes})"
            raise UnusableInput(f"{self.file}: input {value.name} is {_words(dtype, dims)}, {due}")
        axes = _one(fitting, f"{self.file}: input {value.name} is {_words(dtype, dims)}")
        if len(_orders(tensor, self.party)) > 1:
            self.notes.append(f"input {value.name} has the axes {axes}")
        return axes

    def outputs(self, native: Run) -> tuple[dict[str, str], dict[str, str]]:
        """As :meth:`inputs`, of the outputs; their shapes are those of the framework's answer."""
        results = {value.name: value for value in self.proto.graph.output}
        answer = {n: v for n, v in (native.outputs or {}).items() if isinstance(v, ArrayFile)}
        promised = {name: tensor for name, tensor in self.case.outputs.items() if isinstance(tensor, Tensor)}
        names = list(answer) or list(promised) or list(results)
        if set(names) == set(results):
            matched = {name: name for name in names}
        elif len(names) == len(results):
            matched = self._by_position("outputs", names, list(results))
        else:
            theirs, own = ", ".join(results), ", ".join(names)
            raise UnusableInput(f"{self.file}: gives {theirs}; the model of {self.case.name} gives {own}")
        known = {name: tensor for name, tensor in promised.items() if name in answer and name in matched}
        known = {name: tensor for name, tensor in known.items() if len(answer[name].shape) == len(tensor.axes.split())}
        axes = {n: self._output_axes(tensor, answer[n].shape, results[matched[n]]) for n, tensor in known.items()}
        return matched, axes

    def _output_axes(self, tensor: Tensor, shape: Sequence[int], value: onnx.ValueInfoProto) -> str:
        """The order of an output's axes, told by its declared shape; the framework's own where that fits none."""
        _, dims = _declared(value)
        fitting = _fitting(tensor, shape, self.party, dims) or _orders(tensor, self.party)[:1]
        return _one(fitting, f"{self.file}: output {value.name} is {_words('', dims)}")

    def _by_position(self, kind: str, names: Sequence[str], borders: Sequence[str]) -> dict[str, str]:
        matched = dict(zip(names, borders, strict=True))
        pairs = ", ".join(f"{name} is {border}" for name, border in matched.items())
        self.notes.append(f"{kind} matched by position: {pairs}")
        return matched


def _declared(value: onnx.ValueInfoProto) -> tuple[np.dtype | None, Dims]:
    kind = value.type.tensor_type
    try:
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)) if kind.elem_type else None
    except KeyError:
        dtype = None
    if not kind.HasField("shape"):
        return dtype, None
    return dtype, tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim)


def _fits(shape: Sequence[int], dims: Dims) -> bool:
    if dims is None:
        return True
    return len(dims) == len(shape) and all(due is None or size == due for size, due in zip(shape, dims, strict=True))


def _words(dtype: object, dims: Dims) -> str:
    return f"{dtype}[{'...' if dims is None else ', '.join('?' if d is None else str(d) for d in dims)}]"


def _orders(tensor: Tensor, party: Party) -> list[str]:
    """The orders of axes that a tensor may have at a graph's border, the framework's own first."""
    own = layout.order(tensor, party.framework, adapter(party.framework).layouts)
    return list(dict.fromkeys([own, tensor.axes]))


def _fitting(tensor: Tensor, shape: Sequence[int], party: Party, dims: Dims) -> list[str]:
    """The orders in which an array of the case's ``shape`` has the declared dims."""
    orders = _orders(tensor, party)
    fitting = [axes for axes in orders if _fits([shape[i] for i in layout.permutation(tensor.axes, axes)], dims)]
    if len(fitting) > 1 and party.exporter == "nchw":
        return fitting[-1:]
    return fitting[:1] if len(fitting) > 1 and party.exporter == "" else fitting


def _one(fitting: Sequence[str], who: str) -> str:
    if len(fitting) == 1:
        return fitting[0]
    raise UnusableInput(
        f"{who}, which is {' as well as '.join(map(repr, fitting))}: say --onnx tensorflow:nchw=FILE for NCHW, "
        "tensorflow=FILE for TensorFlow's own order"
    )


def reordered(ref: CaseRef, model: Model, native: Run, runtime: str, seed: int) -> Model | None:
    """The same export with its outputs in the order in which, as ``runtime`` computes them, they are nearest to what
    the framework answered; None where they are in it already, or where one of them can be none of the others."""
    due, borders = _answered(model, native), list(model.outputs.values())
    if len(due) < 2 or len(due) != len(borders) or model.file is None:
        return None
    case = running.loaded(ref, seed)
    try:
        made = runtimes()[runtime].open(model.file)(running.feeds_of(ref, case, model, seed), borders)
    except Exception:  # whatever a runtime raises; its own run has said so
        return None
    values = zip(borders, made, strict=False)
    pairs = itertools.product(due.items(), values)
    far = {(name, border): _nearest(case, model, name, want, value) for (name, want), (border, value) in pairs}
    chosen = _nearest_first({pair: distance for pair, (distance, _) in far.items()}, model)
    if len(chosen) < len(due) or all(chosen[name] == model.outputs[name] for name in due):
        return None
    axes = {name: order for name in due if (order := far[name, chosen[name]][1]) is not None}
    return replace(model, outputs={name: chosen[name] for name in model.outputs}, axes={**model.axes, **axes})


def _nearest_first(far: Mapping[tuple[str, str], float], model: Model) -> dict[str, str]:
    """By output of the framework, the graph's; those that are nearest are chosen first.

    Of two outputs with the same numbers each keeps its own: where nothing tells them apart, nothing is claimed.
    """
    chosen: dict[str, str] = {}
    for name, border in sorted(far, key=lambda pair: (far[pair], model.outputs[pair[0]] != pair[1])):
        if name not in chosen and border not in chosen.values() and far[name, border] < np.inf:
            chosen[name] = border
    return chosen


def _answered(model: Model, native: Run) -> dict[str, Array]:
    """What the framework answered, for the outputs that the graph has."""
    return {name: array for name, array in native.arrays().items() if name in model.outputs}


def _nearest(case: Case, model: Model, name: str, want: Array, value: Array) -> tuple[float, str | None]:
    """How far an output is from what is wanted, in the order of axes in which it is nearest, and that order."""
    tensor = case.outputs.get(name)
    if not isinstance(tensor, Tensor) or not want.ndim == value.ndim == len(tensor.axes.split()):
        return _distance(want, value), None
    orders = dict.fromkeys([*filter(None, [model.axes.get(name)]), *_orders(tensor, model.party)])
    ways = [(_distance(want, layout.permute(value, axes, tensor.axes)), axes) for axes in orders]
    return min(ways, key=lambda way: way[0])


def exchanged(ref: CaseRef, model: Model, native: Run, runtime: str, seed: int) -> Model | None:
    """The same graph with two of its inputs exchanged, where its outputs are then nearest to the framework's answer.

    Only inputs of one type and one shape can stand for each other without a word from anybody.  None where the graph's
    own order is the nearest.
    """
    case, due = running.loaded(ref, seed), _answered(model, native)
    if model.file is None or not due:
        return None
    try:
        run = runtimes()[runtime].open(model.file)
    except Exception:  # whatever a runtime raises; its own run has said so
        return None

    def far(tried: Model) -> float:
        try:
            made = run(running.feeds_of(ref, case, tried, seed), [tried.outputs[name] for name in due])
        except Exception:  # what it refuses is not nearer
            return np.inf
        turned = (running.in_case_axes(case, tried, name, value) for name, value in zip(due, made, strict=False))
        return max(_distance(due[name], value) for name, value in zip(due, turned, strict=False))

    fed = inputs.inputs_of(case, ref.name, seed)
    kinds = {name: (case.inputs[name].dtype, np.shape(fed[name])) for name in model.inputs}
    pairs = [p for p in itertools.combinations(model.inputs, 2) if kinds[p[0]] == kinds[p[1]]][:_MOST_PAIRS]
    ways = [replace(model, inputs=_swapped(model.inputs, *p), axes=_swapped(model.axes, *p)) for p in pairs]
    nearest = min(ways, key=far, default=None)
    return nearest if nearest is not None and far(nearest) < far(model) else None


def _swapped(names: Mapping[str, str], one: str, other: str) -> dict[str, str]:
    moved = {one: other, other: one}
    return {name: names[moved.get(name, name)] for name in names}


def _distance(want: Array, value: Array) -> float:
    """How far two outputs are apart, relative to their size; infinite where one cannot be the other."""
    if want.shape != value.shape or want.dtype != value.dtype:
        return np.inf
    if want.dtype.kind not in "fiub" or not want.size:
        return 0.0 if np.array_equal(want, value) else 1e300
    with np.errstate(all="ignore"):
        one, other = want.astype(np.float64), value.astype(np.float64)
        same = (one == other) | (np.isnan(one) & np.isnan(other))
        apart = np.where(same, 0.0, np.nan_to_num(np.abs(one - other), nan=1e300, posinf=1e300)).max()
        return float(apart / (np.abs(one[np.isfinite(one)]).max(initial=0.0) or 1.0))
