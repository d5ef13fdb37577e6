"""Every operator from one opset to the newest, through onnx's version converter: ``compare`` must never say "differs".

Design note.  The two files of a pair mean the same by construction, so "differs" is a false alarm, unless the converter
itself is wrong: then ONNX Runtime, which runs both, parts as well, and the pair is listed apart.  The models are those
of ``onnx.backend.test`` (one node each, with its inputs), declared at each opset from 9 on at which the operator
changed and the checker takes them; small graphs of :data:`BUILT` stand for what was an attribute once.  Everything runs
in this process, by a stand-in for the workers: an engine that dies takes the sweep with it, and names the pair.

``python scripts/opset_sweep.py [--only OP] [--every N]`` prints a line for each pair that is not "same", and the sums.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnx.version_converter
from onnx import ModelProto

from onnx_triangulate.comparison.options import Options
from onnx_triangulate.comparison.run import compare_with
from onnx_triangulate.locate import model_interface
from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.graph_comparison import GraphComparison

FIRST = 9
Arrays = Mapping[str, np.ndarray[Any, Any]]

_HEAD = '<ir_version: 4, opset_import: ["" : {opset}]> g ({inputs}) => ({output} y) '
_F = np.float32
BUILT: tuple[tuple[int, str, str, str], ...] = (  # opset, inputs, output, body
    (9, "float[2,1,3] x", "float[2,3]", "{ y = Squeeze<axes=[1]>(x) }"),
    (9, "float[2,3] x", "float[2,1,3]", "{ y = Unsqueeze<axes=[1]>(x) }"),
    (9, "float[2,3,4] x", "float[2,1,4]", "{ y = ReduceSum<axes=[1]>(x) }"),
    (9, "float[2,3,4] x", "float[2,4]", "{ y = ReduceMean<axes=[1],keepdims=0>(x) }"),
    (9, "float[2,3,4] x", "float[2,3,1]", "{ y = ReduceL2<axes=[-1]>(x) }"),
    (9, "float[2,3,4] x", "float[2,3,1]", "{ y = ReduceMax<axes=[2]>(x) }"),
    (9, "float[2,3,4] x", "float[2,3,1]", "{ y = ReduceLogSumExp<axes=[2]>(x) }"),
    (9, "float[4,6] x", "float[4,3]", "{ a, b = Split<axis=1>(x) y = Add(a, b) }"),
    (9, "float[4,6] x", "float[4,4]", "{ y, b = Split<axis=1,split=[4,2]>(x) }"),
    (9, "float[2,3] x", "float[2,3]", "{ y = Clip<min=-0.5,max=0.5>(x) }"),
    (9, "float[4,6] x", "float[2,6]", "{ y = Slice<axes=[0],starts=[1],ends=[3]>(x) }"),
    (9, "float[2,3] x", "float[4,6]", "{ y = Pad<pads=[1,1,1,2],value=1.5>(x) }"),
    (9, "float[2,6] x", "float[2,2]", "{ k = Constant<value=int64[1] {2}>() y, i = TopK<axis=1>(x, k) }"),
    (9, "float[2,3] x", "float[2,3]", "{ y = Dropout<ratio=0.3>(x) }"),
    (9, "float[2,3,4] x", "float[2,3,4]", "{ y = Softmax<axis=1>(x) }"),
    (9, "float[2,3,4] x", "float[2,3,4]", "{ y = LogSoftmax<axis=1>(x) }"),
    (9, "float[2,3,4] x", "float[2,3,4]", "{ y = Hardmax<axis=1>(x) }"),
    (9, "float[2,3,4] x", "float[2,3,4]", "{ y = Softmax<axis=2>(x) }"),
    (
        9,
        "float[2,3,4,5] x",
        "float[2,3,4,5]",
        "<float[3] s = {1.5,-2,0.5}, float[3] b = {0.1,0.2,-1}, float[3] m = {0.3,-0.1,2}, float[3] v = {1,0.2,3}>"
        " { y = BatchNormalization<epsilon=0.001>(x, s, b, m, v) }",
    ),
    (
        9,
        "float[1,2,3,4] x",
        "float[1,2,6,8]",
        '<float[4] s = {1,1,2,2}> { y = Upsample<mode="nearest">(x, s) }',
    ),
    (
        9,
        "float[1,2,3,4] x",
        "float[1,2,6,8]",
        '<float[4] s = {1,1,2,2}> { y = Upsample<mode="linear">(x, s) }',
    ),
    (10, "float[1,2,3,4] x", "float[1,2,6,8]", '<float[4] s = {1,1,2,2}> { y = Resize<mode="nearest">(x, s) }'),
    (10, "float[1,2,3,4] x", "float[1,2,6,8]", '<float[4] s = {1,1,2,2}> { y = Resize<mode="linear">(x, s) }'),
    (
        10,
        "float[3,7] x",
        "float[3,7]",
        "<float s = {0.05}, uint8 z = {20}> { q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) }",
    ),
    (
        13,
        "float[3,4] x",
        "float[3,4]",
        "<float[4] s = {0.05,0.1,0.2,0.3}, int8[4] z = {0,1,2,3}>"
        " { q = QuantizeLinear<axis=1>(x, s, z) y = DequantizeLinear<axis=1>(q, s, z) }",
    ),
    (9, "float[1,2,6,6] x", "float[1,2,3,3]", "{ y = AveragePool<kernel_shape=[2,2],strides=[2,2]>(x) }"),
    (
        9,
        "float[1,2,5,5] x",
        "float[1,2,5,5]",
        "{ y = AveragePool<kernel_shape=[3,3],pads=[1,1,1,1],count_include_pad=1>(x) }",
    ),
    (9, "float[1,2,6,6] x", "float[1,2,3,3]", "{ y = MaxPool<kernel_shape=[2,2],strides=[2,2]>(x) }"),
    (9, "float[2,3] x", "int64[2,1]", "{ y = ArgMax<axis=1>(x) }"),
    (9, "float[2,3] x", "float[2,2]", "<float[2] b = {0.5,1}> { y = Gemm<transB=1,alpha=0.3>(x, x, b) }"),
    (9, "float[2,3] x", "float[6]", "<int64[1] s = {-1}> { y = Reshape(x, s) }"),
    (9, "float[2,3] x", "float[2,3]", "{ z = Cast<to=7>(x) y = Cast<to=1>(z) }"),
    (9, "float[2,3] x", "bool[2,3]", "<float z = {0.1}> { y = Greater(x, z) }"),
    (9, "float[4,3] x", "float[2,3]", "<int64[2] i = {1,3}> { y = Gather(x, i) }"),
    (9, "float[4,3] x", "float[4,3]", "<int64[1,3] i = {1,3,0}, float[1,3] u = {7,8,9}> { y = Scatter(x, i, u) }"),
    (9, "float[2,3,4] x", "float[24]", "{ y0 = Flatten<axis=0>(x) y = Squeeze<axes=[0]>(y0) }"),
    (16, "float[1,2,5,6] x, float[1,3,4,2] g", "float[1,2,3,4]", '{ y = GridSample<mode="bilinear">(x, g) }'),
    (16, "float[1,2,5,6] x, float[1,3,4,2] g", "float[1,2,3,4]", '{ y = GridSample<mode="bicubic">(x, g) }'),
    (
        17,
        "float[2,3,4] x",
        "float[2,3,4]",
        "<float[4] s = {1,2,3,4}, float[4] b = {1,0,1,0}> { y = LayerNormalization(x, s, b) }",
    ),
    (
        18,
        "float[2,4,3] x",
        "float[2,4,3]",
        "<float[2] s = {1,2}, float[2] b = {1,0}> { y = GroupNormalization<num_groups=2>(x, s, b) }",
    ),
)


@dataclass(frozen=True)
class Pair:
    """A model at an old opset, the newest that the converter makes of it, and its inputs, where it came with some."""

    name: str
    old: ModelProto
    new: ModelProto
    inputs: Arrays | None


class _Here:
    """The workers' interface in this process."""

    deaths: tuple[str, ...] = ()

    def call(self, worker: str, work: Callable[..., Any], *args: Any) -> Any:
        return work(*args)


def built(newest: int) -> Iterator[Pair]:
    """The pairs of :data:`BUILT`."""
    for opset, inputs, output, body in BUILT:
        head = _HEAD.format(opset=opset, inputs=inputs, output=output)
        model = onnx.parser.parse_model(head + body)
        yield from _pairs(f"{body.strip('{} ')} at {opset}", model, opset, newest, None)


def node_models(newest: int, only: str | None = None) -> Iterator[Pair]:
    """The node models of ``onnx.backend.test`` at every opset from :data:`FIRST` on at which their operator changed."""
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings(), np.errstate(all="ignore"):  # onnx draws its cases when they are asked for
        warnings.simplefilter("ignore")
        cases = load_model_tests(kind="node")
    for case in cases:
        model = case.model
        ops = {node.op_type for node in model.graph.node}
        if (only is not None and only not in ops) or len(model.graph.node) != 1 or model.graph.node[0].domain:
            continue
        arrays = _arrays(model, case.data_sets[0][0])
        if arrays is None:
            continue
        (op,) = ops
        changes = [s.since_version for s in onnx.defs.get_all_schemas_with_history() if s.name == op and not s.domain]
        for version in sorted({max(FIRST, v) for v in changes}):
            yield from _pairs(f"{case.name} at {version}", model, version, newest, arrays)


def _pairs(name: str, model: ModelProto, version: int, newest: int, inputs: Arrays | None) -> Iterator[Pair]:
    if version >= newest:
        return
    old = ModelProto()
    old.CopyFrom(model)
    del old.opset_import[:]
    old.opset_import.append(onnx.helper.make_opsetid("", version))
    old.ir_version = max(4, min(model.ir_version, 10))
    try:
        onnx.checker.check_model(old, full_check=True)
        new = onnx.version_converter.convert_version(old, newest)
        new.ir_version = 10
        onnx.checker.check_model(new, full_check=True)
    except Exception:  # it does not exist at that opset, or the converter has no way
        return
    yield Pair(name, old, new, inputs)


def _arrays(model: ModelProto, given: Sequence[Any]) -> dict[str, np.ndarray[Any, Any]] | None:
    """The inputs by name; None for a sequence, an optional, a type that numpy lacks."""
    if not all(isinstance(array, np.ndarray) and array.dtype.kind in "fiub" for array in given):
        return None
    found = dict(zip((value.name for value in model.graph.input), given, strict=False))
    return found if len(found) == len(model.graph.input) else None


def drawn(model: ModelProto) -> dict[str, np.ndarray[Any, Any]]:
    """Numbers for the inputs of one of :data:`BUILT`."""
    random, found = np.random.default_rng(0), {}
    for value in model.graph.input:
        shape = [d.dim_value for d in value.type.tensor_type.shape.dim]
        found[value.name] = random.uniform(-1, 1, shape).astype(np.float32)
    return found


def verdict(pair: Pair, folder: Path) -> GraphComparison | str:
    """What ``compare`` says of a pair, or why it does not take it."""
    model_interface.load_model.cache_clear()
    files = folder / "old.onnx", folder / "new.onnx"
    onnx.save(pair.old, files[0])
    onnx.save(pair.new, files[1])
    options = Options()
    if pair.inputs:
        np.savez(folder / "in.npz", **dict(pair.inputs))  # type: ignore[arg-type]  # numpy's stub
        options = Options(inputs=folder / "in.npz")
    try:
        return compare_with(_Here(), *files, options, folder)  # type: ignore[arg-type]
    except UnusableInput as error:
        return str(error)


def parts_in_runtime(pair: Pair, arrays: Arrays) -> bool | None:
    """Whether ONNX Runtime gives other numbers for the two models; None where it does not run them."""
    import onnxruntime as ort

    made = []
    for model in (pair.old, pair.new):
        try:
            session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
            made.append(session.run(None, dict(arrays)))
        except Exception:  # not implemented at that opset
            return None
    return any(
        not np.allclose(a, b, rtol=1e-3, atol=1e-4, equal_nan=True)
        if np.asarray(a).dtype.kind == "f"
        else not np.array_equal(a, b)
        for a, b in zip(*made, strict=True)
    )


def sweep(pairs: Iterator[Pair], every: int = 1) -> Counter[str]:
    """The verdicts, counted; each that is not "same" is printed."""
    counted: Counter[str] = Counter()
    for number, pair in enumerate(pairs):
        if number % every:
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = verdict(pair, Path(folder))
        word: str = "refused" if isinstance(found, str) else found.outcome
        if not isinstance(found, str) and word == "differs" and parts_in_runtime(pair, pair.inputs or drawn(pair.old)):
            word = "converter"
        counted[word] += 1
        if word != "same":
            says = found if isinstance(found, str) else _why(found)
            print(f"{word:10} {pair.name}   {says}", flush=True)
    return counted


def _why(found: GraphComparison) -> str:
    faulty = [f"{g.node} {g.op} {g.party} {g.ratio:.3g}" for g in found.faults]
    return "; ".join([*faulty, *found.problems])[:300]


def main() -> int:
    """Sweep and print; exit status 1 where anything "differs"."""
    parser = argparse.ArgumentParser(description="every operator through onnx's version converter")
    parser.add_argument("--only", help="one operator")
    parser.add_argument("--every", type=int, default=1, help="only every N-th pair")
    parser.add_argument("--newest", type=int, default=min(onnx.defs.onnx_opset_version(), 26))
    options = parser.parse_args()
    counted = Counter[str]()
    if options.only is None:
        counted += sweep(built(options.newest))
    counted += sweep(node_models(options.newest, options.only), options.every)
    print(", ".join(f"{word}: {count}" for word, count in sorted(counted.items())))
    return int(counted["differs"] > 0)


if __name__ == "__main__":
    sys.exit(main())
