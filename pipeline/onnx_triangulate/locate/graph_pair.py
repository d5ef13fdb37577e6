"""Two files that should mean the same, and how both are fed: the record that is given to every comparison of them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from onnx_triangulate.diff.equivalence import Proof, prove, unmoved
from onnx_triangulate.locate.feeds import Feed, Landmarks, ValueInfo, draw
from onnx_triangulate.locate.float32_runs import opened
from onnx_triangulate.locate.model_interface import read_inlined
from onnx_triangulate.locate.teacher_forced import Ways
from onnx_triangulate.onnxgraph.dataflow import Orientation
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.case import Case
from onnx_triangulate.records.runs import Model
from onnx_triangulate.transform.cut import with_outputs

MOST_WEIGHTS = 1.5 * 2**30  # bytes of a file that is written again


@dataclass(frozen=True)
class GraphPair:
    """``left`` (A) and ``right`` (B), both absolute, with A's inputs, after which all arrays are named.

    ``inputs`` and ``outputs`` give for each value of B's interface the name in A and how A's array turns into B's.
    Feeds are drawn from ``landmarks`` of both graphs and ``seed``.
    """

    left: Path
    right: Path
    ports: tuple[ValueInfo, ...]
    inputs: Ways
    outputs: Ways
    landmarks: Landmarks
    seed: int

    def draw(self, feed: Feed) -> dict[str, Array]:
        """The arrays of a feed, by A's names."""
        return draw(feed, self.ports, self.landmarks, self.seed)

    def for_b(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """A's arrays as B takes them, by B's names."""
        return {n: np.require(way.apply(arrays[s]), requirements="C") for n, (s, way) in self.inputs.items()}


def axes_between(case: Case, left: Model | None, right: Model, name: str) -> Orientation:
    """How an input or output of one export comes to stand as another export of the same case has it.

    ``name`` is the case's; without ``left`` it is the case's own order of axes that is turned.
    """
    tensor = case.inputs.get(name) or case.outputs.get(name)
    axes = getattr(tensor, "axes", "")
    return turned_axes(*((axes if m is None else m.axes.get(name, axes)).split() for m in (left, right)))


def turned_axes(source: Sequence[str], target: Sequence[str]) -> Orientation:
    """How an array with named axes comes to have them in another order; as it stands where they are not the same."""
    if list(source) == list(target) or set(source) != set(target) or len(set(source)) < len(source):
        return Orientation()
    return Orientation(perm=tuple(source.index(axis) for axis in target))


def prove_pair(pair: GraphPair, sizes: tuple[Mapping[str, tuple[int, ...]], ...] = ()) -> Proof:
    """What is one by structure; where an input or output is turned, nothing is proved as a whole.

    ``sizes`` are the shapes of A's inputs and of B's, where B takes these and no others.
    """
    plain = {n: s for n, (s, way) in pair.inputs.items() if way == Orientation()}
    ends = {n: s for n, (s, way) in pair.outputs.items() if way == Orientation()}
    models = read_inlined(pair.left), read_inlined(pair.right)
    one, other = [_at_sizes(m, s) for m, s in zip(models, sizes, strict=True)] if sizes else ({}, {})
    return prove(*models, plain, ends, (one, other))


def _at_sizes(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """What a graph computes of sizes and constants alone, at the sizes of its inputs; nothing where it does not run."""
    names = unmoved(model)
    if not names or model.ByteSize() > MOST_WEIGHTS:
        return {}
    try:
        kinds = {i.name: onnx.helper.tensor_dtype_to_np_dtype(i.type.tensor_type.elem_type) for i in model.graph.input}
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "shown.onnx"
            onnx.save(with_outputs(model, names), file)
            made = opened(file, names)({name: np.zeros(shape, kinds[name]) for name, shape in shapes.items()})
    except Exception:  # a runtime's refusal, whatever its type
        return {}
    return {n: v for n, v in made.items() if isinstance(v, np.ndarray) and v.dtype.isbuiltin == 1}
