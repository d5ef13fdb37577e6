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
from dataclasses import replace
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
    case, party = running.loaded(ref, seed), Party.parse(graph)
    try:
        proto = load(file)
        if not proto.graph.output:
            raise UnusableInput(f"{file}: its graph has no outputs, expected an ONNX model that computes something")
        notes: list[str] = []
        borders, axes = _inputs(case, party, proto, file, notes)
        outputs, more = _outputs(case, party, proto, native, file, notes)
    except UnusableInput as error:
        return Model(graph, error=Failure("builder", str(error)), external=True)
    notes.insert(0, f"the given file {file.name}")
    return Model(graph, file, None, borders, outputs, axes | more, weights, notes=tuple(notes), external=True)


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


def _inputs(
    case: Case, party: Party, proto: onnx.ModelProto, file: Path, notes: list[str]
) -> tuple[dict[str, str], dict[str, str]]:
    held = {tensor.name for tensor in proto.graph.initializer}
    wanted = {value.name: value for value in proto.graph.input if value.name not in held}
    matched = {name: name for name in case.inputs if name in wanted}
    for name in case.inputs:
        if name not in matched and f"{name}:0" in wanted:
            matched[name] = f"{name}:0"
    left = [name for name in wanted if name not in matched.values()]
    open_ = [name for name in case.inputs if name not in matched]
    if left and len(left) == len(open_):
        matched |= dict(zip(open_, left, strict=True))
        pairs = ", ".join(f"{name} is {border}" for name, border in zip(open_, left, strict=True))
        notes.append(f"inputs matched by position: {pairs}")
    elif left:
        raise UnusableInput(
            f"{file}: wants inputs {', '.join(map(repr, left))}; those of {case.name} are {', '.join(case.inputs)}"
        )
    elif open_:
        notes.append(f"the graph has no input {', '.join(open_)}")
    axes = {}
    for name, border in matched.items():
        tensor, (dtype, dims) = case.inputs[name], _declared(wanted[border])
        shape = tensor.shape if tensor.shape is not None else np.shape(tensor.values)
        due = f"the case feeds {tensor.dtype}{list(shape)} ({tensor.axes})"
        if dtype is not None and dtype != np.dtype(tensor.dtype):
            raise UnusableInput(f"{file}: input {border} is {_words(dtype, dims)}, {due}")
        fitting = _fitting(tensor, shape, party, dims)
        if not fitting:
            raise UnusableInput(f"{file}: input {border} is {_words(dtype, dims)}, {due}")
        axes[name] = _one(fitting, f"{file}: input {border} is {_words(dtype, dims)}")
        if len(_orders(tensor, party)) > 1:
            notes.append(f"input {border} has the axes {axes[name]}")
    return {name: matched[name] for name in case.inputs if name in matched}, axes


def _one(fitting: Sequence[str], who: str) -> str:
    if len(fitting) == 1:
        return fitting[0]
    raise UnusableInput(
        f"{who}, which is {' as well as '.join(map(repr, fitting))}: say --onnx tensorflow:nchw=FILE for NCHW, "
        "tensorflow=FILE for TensorFlow's own order"
    )


def _outputs(
    case: Case, party: Party, proto: onnx.ModelProto, native: Run, file: Path, notes: list[str]
) -> tuple[dict[str, str], dict[str, str]]:
    results = {value.name: value for value in proto.graph.output}
    given: Mapping[str, ArrayFile] = {n: v for n, v in (native.outputs or {}).items() if isinstance(v, ArrayFile)}
    names = list(given) or [n for n, t in case.outputs.items() if isinstance(t, Tensor)] or list(results)
    if set(names) == set(results):
        matched = {name: name for name in names}
    elif len(names) == len(results):
        matched = dict(zip(names, results, strict=True))
        pairs = ", ".join(f"{name} is {border}" for name, border in matched.items())
        notes.append(f"outputs matched by position: {pairs}")
    else:
        raise UnusableInput(f"{file}: gives {', '.join(results)}; the model of {case.name} gives {', '.join(names)}")
    axes = {}
    for name, border in matched.items():
        tensor, value = case.outputs.get(name), given.get(name)
        if not isinstance(tensor, Tensor) or value is None or len(value.shape) != len(tensor.axes.split()):
            continue
        _, dims = _declared(results[border])
        fitting = _fitting(tensor, value.shape, party, dims) or _orders(tensor, party)[:1]
        axes[name] = _one(fitting, f"{file}: output {border} is {_words('', dims)}")
    return matched, axes


def reordered(ref: CaseRef, model: Model, native: Run, runtime: str, seed: int) -> Model | None:
    """The same export with its outputs in the order in which, as ``runtime`` computes them, they are nearest to what
    the framework answered; None where they are in it already, or where one of them can be none of the others."""
    case, party = running.loaded(ref, seed), Party.parse(model.graph)
    due = {n: v.load() for n, v in (native.outputs or {}).items() if isinstance(v, ArrayFile) and n in model.outputs}
    borders = list(model.outputs.values())
    if len(due) < 2 or len(due) != len(borders) or model.file is None:
        return None
    try:
        made = runtimes()[runtime].open(model.file)(running.feeds_of(ref, case, model, seed), borders)
    except Exception:  # whatever a runtime raises; its own run has said so
        return None
    values = dict(zip(borders, made, strict=False))
    far: dict[tuple[str, str], tuple[float, str | None]] = {}
    for name, want in due.items():
        tensor = case.outputs.get(name)
        for border, value in values.items():
            ways: list[tuple[float, str | None]] = [(_distance(want, value), None)]
            if isinstance(tensor, Tensor) and want.ndim == value.ndim == len(tensor.axes.split()):
                orders = dict.fromkeys([*filter(None, [model.axes.get(name)]), *_orders(tensor, party)])
                ways = [(_distance(want, layout.permute(value, axes, tensor.axes)), axes) for axes in orders]
            far[name, border] = min(ways, key=lambda way: way[0])
    chosen: dict[str, str] = {}
    # Of two outputs with the same numbers each keeps its own: where nothing tells them apart, nothing is claimed.
    for name, border in sorted(far, key=lambda pair: (far[pair][0], model.outputs[pair[0]] != pair[1])):
        if name not in chosen and border not in chosen.values() and far[name, border][0] < np.inf:
            chosen[name] = border
    if len(chosen) < len(due) or all(chosen[name] == model.outputs[name] for name in due):
        return None
    axes = {name: order for name in due if (order := far[name, chosen[name]][1]) is not None}
    return replace(model, outputs={name: chosen[name] for name in model.outputs}, axes={**model.axes, **axes})


def exchanged(ref: CaseRef, model: Model, native: Run, runtime: str, seed: int) -> Model | None:
    """The same graph with two of its inputs exchanged, where its outputs are then nearest to the framework's answer.

    Only inputs of one type and one shape can stand for each other without a word from anybody.  None where the graph's
    own order is the nearest.
    """
    case = running.loaded(ref, seed)
    due = {n: v.load() for n, v in (native.outputs or {}).items() if isinstance(v, ArrayFile) and n in model.outputs}
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

    kinds = {n: (case.inputs[n].dtype, np.shape(inputs.inputs_of(case, ref.name, seed)[n])) for n in model.inputs}
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
