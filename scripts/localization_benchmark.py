"""How long it takes to find the faulty node, and what is held for it, beside a plain run of the same model.

    python scripts/localization_benchmark.py                   # ResNet-50 at 224, one planted fault; 100 to 5,000 nodes
    python scripts/localization_benchmark.py --verification    # torch's own verification beside it: minutes
    python scripts/localization_benchmark.py --case scripts/zoo/language.py::bert --rounds 5

A plain run is ONNX Runtime's with one thread and its optimizations on, the session ready.  A localization is everything
after the export: the source's values, float64 node by node, the cut model, what was propagated.  Figures are the least
of ``--rounds``, plain runs and localizations in turn; what is held is beside the bytes of all activations in float32.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from onnx_triangulate import CaseRef
from onnx_triangulate.cases import catalogue, inputs
from onnx_triangulate.engines import running
from onnx_triangulate.engines.frameworks._stored_values import ValueWriter
from onnx_triangulate.locate.export_nodes import Export
from onnx_triangulate.locate.node_search import judged_export
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.faults import Localization, SourceValues
from onnx_triangulate.records.runs import Model
from onnx_triangulate.verification import worker_tasks
from onnx_triangulate.verification.case_run import CaseRun
from onnx_triangulate.verification.diagnosis.localization import localized
from onnx_triangulate.verification.session import Options, Session

SIZES = (100, 500, 1000, 5000)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--case", default=str(Path(__file__).parent / "zoo" / "vision.py") + "::resnet50")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--verification", action="store_true", help="measure torch.onnx.verification too (minutes)")
    parser.add_argument("--skip-scaling", action="store_true")
    options = parser.parse_args()
    (ref,) = catalogue.find([options.case])
    (framework,) = catalogue.load(ref).builders
    assert running.warm(framework) is None
    with tempfile.TemporaryDirectory() as folder:
        models = _exports(ref, framework, Path(folder))
        for graph in models:
            least = {label: float("inf") for label in ("plain", "planted", "healthy")}
            for label in ("planted", "healthy"):
                chosen = {**models, graph: planted(models[graph])} if label == "planted" else models
                plain = plain_run(ref, models[graph])
                for _ in range(options.rounds):
                    least["plain"] = min([least["plain"], *(plain() for _ in range(5))])
                    found, seconds, phases = timed(ref, chosen, graph, models, Path(folder))
                    if seconds < least[label]:
                        least[label], kept, steps = seconds, found, phases
                show(
                    f"{ref.name} {graph}, {label}",
                    least[label],
                    least["plain"],
                    kept,
                    steps,
                    activations(kept, chosen, ref),
                )
        if options.verification:
            verification(ref, Path(folder))
    if not options.skip_scaling:
        scaling()
    return 0


def _exports(ref: CaseRef, framework: str, folder: Path) -> dict[str, Model]:
    wanted = ("", "raw") if framework == "torch" else ("",)
    return {model.graph: model for model in worker_tasks.export(ref, framework, wanted, 0, folder)}


def planted(model: Model) -> Model:
    """The model with one element of one weight in its middle changed."""
    assert model.file is not None
    proto = onnx.load(model.file)
    held = {tensor.name: tensor for tensor in proto.graph.initializer}
    weights = [
        held[node.input[1]]
        for node in proto.graph.node
        if node.op_type in ("Conv", "Gemm", "MatMul") and len(node.input) > 1 and node.input[1] in held
    ]
    tensor = weights[len(weights) // 2]
    array = onnx.numpy_helper.to_array(tensor).copy()
    array.flat[array.size // 2] += 0.01
    tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    file = model.file.with_name(f"planted.{model.file.name}")
    onnx.save(proto, file)
    return replace(model, file=file)


def plain_run(ref: CaseRef, model: Model) -> Callable[[], float]:
    """A function that runs the model once and says how many seconds that took."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model.file), options, providers=["CPUExecutionProvider"])
    feeds = running.feeds_of(ref, catalogue.load(ref), model, 0)
    session.run(None, feeds)

    def once() -> float:
        started = time.perf_counter()
        session.run(None, feeds)
        return time.perf_counter() - started

    return once


def timed(
    ref: CaseRef, models: Mapping[str, Model], graph: str, whole: Mapping[str, Model], folder: Path
) -> tuple[Localization, float, dict[str, float]]:
    """One localization, its seconds, and the seconds of its steps."""
    phases: dict[str, float] = {}

    class Timed:
        def ask(self, kind: str, function: Callable[..., Any], arguments: Sequence[Any], **_: Any) -> Any:
            started = time.perf_counter()
            answer = function(*arguments)
            phases[function.__name__] = phases.get(function.__name__, 0.0) + time.perf_counter() - started
            return answer

    started = time.perf_counter()
    sources = [file for file in (whole[graph].weights, whole["torch:raw"].file) if file is not None][:1]
    case_run = CaseRun(ref, catalogue.load(ref), folder, models=models)
    found = localized(Session(Timed(), Options()), case_run, "export", graph, sources=sources, attribute=False)
    assert found is not None
    return found, time.perf_counter() - started, phases


def activations(found: Localization, models: Mapping[str, Model], ref: CaseRef) -> int:
    """The bytes of every value of the graph in one run."""
    from onnx_triangulate.transform.cut import array_sizes

    file = models[found.graph].file
    assert file is not None
    return sum(size or 0 for size in array_sizes(onnx.load(file)).values())


def show(
    what: str, seconds: float, plain: float, found: Localization, phases: Mapping[str, float], everything: int
) -> None:
    steps = ", ".join(f"{name} {value:.2f} s" for name, value in phases.items())
    faulty = ", ".join(f"{e.node} ({e.ratio:.3g} times its bound; {e.origin})" for e in found.faults) or "nobody"
    print(f"{what}: {seconds:.2f} s, {seconds / plain:.1f} plain runs of {plain * 1e3:.0f} ms ({steps})")
    print(f"  held at most {found.peak / 2**20:.0f} MiB, {found.peak / everything:.2f} of all activations in float32")
    print(f"  {found.judged} of {found.nodes} nodes judged; faulty: {faulty}", flush=True)


def verification(ref: CaseRef, folder: Path) -> None:
    """torch's own verification of the same model, intermediate values compared."""
    import torch
    from torch.onnx.verification import verify_onnx_program

    case = catalogue.load(ref)
    torch.manual_seed(0)
    model: Any = case.builders["torch"](torch)
    model.eval()
    fed = tuple(torch.from_numpy(value) for value in inputs.inputs_of(case, ref.name, 0).values())
    program = torch.onnx.export(model, fed, dynamo=True, verbose=False)
    started = time.perf_counter()
    found = verify_onnx_program(program, fed, compare_intermediates=True)
    print(f"torch.onnx.verification: {time.perf_counter() - started:.1f} s, {len(found)} values", flush=True)


def scaling() -> None:
    """Time per node of chains from 100 to 5,000 nodes, with their source's values, one fault each."""
    each: list[float] = []
    for size in SIZES:
        proto, feeds, values = chain(size)
        with tempfile.TemporaryDirectory() as folder:
            with ValueWriter(Path(folder) / "double") as stored:
                for name, array in values:
                    stored.write(name, array)
            source = SourceValues("torch", double=stored.stored())
            judged_export(Export.of(proto, feeds, source, party="torch")) if not each else None  # imports, once
            started = time.perf_counter()
            found = judged_export(Export.of(proto, feeds, source, party="torch"))
            each.append((time.perf_counter() - started) / size)
        print(
            f"{size} nodes: {each[-1] * 1e3:.3f} ms a node; faulty: {', '.join(e.node for e in found.faults)}",
            flush=True,
        )
    print(f"the slowest takes {max(each) / min(each):.2f} times as long a node as the fastest")


def chain(count: int) -> tuple[onnx.ModelProto, dict[str, Array], Iterator[tuple[str, Array]]]:
    """A chain of products, sums and activations with one wrong weight, and the values that it should have."""
    random = np.random.default_rng(0)
    nodes, weights = [], []
    x = random.normal(size=(8, 32)).astype(np.float32)
    for index in range(count):
        kind = ("MatMul", "Add", "Tanh", "Mul", "Relu")[index % 5]
        operands = [f"v{index}"]
        if kind in ("MatMul", "Add", "Mul"):
            shape = (32, 32) if kind == "MatMul" else (32,)
            weights.append((f"w{index}", (random.normal(size=shape) / np.sqrt(shape[0])).astype(np.float32)))
            operands.append(f"w{index}")
        nodes.append(onnx.helper.make_node(kind, operands, [f"v{index + 1}"], name=f"{kind}_{index}"))
    right = dict(weights)

    def values() -> Iterator[tuple[str, Array]]:
        value = x.astype(np.float64)
        for index, node in enumerate(nodes):
            w = right.get(f"w{index}")
            if node.op_type == "MatMul" and w is not None:
                value = value @ w.astype(np.float64)
            elif w is not None:
                value = value + w if node.op_type == "Add" else value * w
            else:
                value = np.tanh(value) if node.op_type == "Tanh" else np.maximum(value, 0)
            yield f"v{index + 1}", value

    wrong = f"w{count // 2 // 5 * 5}"
    stored = [(n, w if n != wrong else w * np.float32(1.001)) for n, w in weights]
    graph = onnx.helper.make_graph(
        nodes,
        "chain",
        [onnx.helper.make_tensor_value_info("v0", onnx.TensorProto.FLOAT, x.shape)],
        [onnx.helper.make_tensor_value_info(f"v{count}", onnx.TensorProto.FLOAT, x.shape)],
        [onnx.numpy_helper.from_array(w, n) for n, w in stored],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    return model, {"v0": x}, values()


if __name__ == "__main__":
    one_each = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    if not one_each.items() <= os.environ.items():  # numpy reads them when it is imported
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **one_each})  # noqa: S606  # this script again
    raise SystemExit(main())
