"""The exported graphs that faults are planted into, each with its framework's own values, made once and kept.

Each framework exports in a process of its own; what it leaves is read by everybody else without a framework: the graph,
the inputs, the framework's intermediate values in float32 and float64, and what the exporter computed itself.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from faults.site import Base, reads
from onnx_triangulate.records.arrays import ArrayStore
from onnx_triangulate.records.faults import Origin, SourceValues

Array = NDArray[Any]
ZOO = Path(__file__).resolve().parents[1] / "zoo"
# NAME: file, case, exporter.  Both frameworks; a MobileNetV2, transformers, recurrent networks, a U-Net, loose pieces.
GRAPHS = {
    "mobilenet": ("vision.py", "mobilenet_v2_small", "tensorflow"),
    "encoder": ("language.py", "encoder", "torch:raw"),
    "decoder": ("language.py", "decoder", "torch"),
    "lstm": ("language.py", "lstm", "torch:raw"),
    "gru": ("language.py", "gru", "torch"),
    "lstm_keras": ("language.py", "lstm_keras", "tensorflow"),
    "encoder_keras": ("language.py", "encoder_keras", "tensorflow"),
    "unet": ("mixed.py", "unet", "torch:raw"),
    "unet_keras": ("mixed.py", "unet_keras", "tensorflow:nchw"),
    "resizes": ("mixed.py", "resizes", "torch"),
    "resizes_keras": ("mixed.py", "resizes_keras", "tensorflow"),
    "pieces": ("mixed.py", "pieces", "torch"),
    "pieces_keras": ("mixed.py", "pieces_keras", "tensorflow"),
}
_FILES = {"single": "values.bin", "double": "values64.bin"}
OTHERS = {"torch:raw": "torch", "torch": "torch:raw", "tensorflow": "tensorflow:nchw", "tensorflow:nchw": "tensorflow"}


@dataclass(frozen=True)
class Kept:
    """One exported graph in its folder."""

    name: str
    folder: Path

    @cached_property
    def about(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "about.json").read_text()))

    @cached_property
    def proto(self) -> onnx.ModelProto:
        return onnx.load(self.folder / "graph.onnx")

    @cached_property
    def other(self) -> onnx.ModelProto | None:
        """The same model by the framework's other exporter, where its border is the same."""
        file = self.folder / "other.onnx"
        return onnx.load(file) if file.exists() else None

    def arrays(self, file: str) -> dict[str, Array]:
        with np.load(self.folder / file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}

    @cached_property
    def feeds(self) -> dict[str, Array]:
        return self.arrays("feeds.npz")

    @cached_property
    def source(self) -> SourceValues:
        """The framework's values by the graph's names; ``double`` is none where it has no float64."""
        about = self.about
        stored = {
            kind: ArrayStore(
                self.folder / file, {n: (at, dtype, tuple(shape)) for n, (at, dtype, shape) in about[kind].items()}
            )
            for kind, file in _FILES.items()
            if about[kind] is not None
        }
        origins = {name: Origin(value, op=op) for name, (value, op) in about["origins"].items()}
        return SourceValues(
            about["graph"], stored.get("single"), stored.get("double"), origins, permuted=about["permuted"]
        )

    @cached_property
    def base(self) -> Base:
        feeds = [self.feeds, {n: drawn(a, np.random.default_rng(9), n, self.about) for n, a in self.feeds.items()}]
        model = onnx.ModelProto()
        model.CopyFrom(self.proto)
        weights = {t.name: np.asarray(onnx.numpy_helper.to_array(t)) for t in model.graph.initializer}
        del model.graph.initializer[:], model.graph.value_info[:]
        data = {i.name for i in model.graph.input}
        for node in model.graph.node:
            if node.op_type not in ("Shape", "Size") and data.intersection(reads(node)):
                data.update(node.output)
        runs = [run_all(self.proto, given) | given for given in feeds]
        return Base(self.name, model, weights, runs[0], runs[1], frozenset(data - {""}))


def drawn(like: Array, random: np.random.Generator, name: str, about: dict[str, Any], *, whole: bool = False) -> Array:
    """Other numbers for an input: indices below the case's limit, small integers, or reals."""
    if like.dtype.kind in "iu":
        return random.integers(0, about["below"].get(name, 2), like.shape).astype(like.dtype)
    return np.asarray(random.integers(-3, 4, like.shape) if whole else random.uniform(-1, 1, like.shape), like.dtype)


def run_all(model: onnx.ModelProto, feeds: dict[str, Array]) -> dict[str, Array]:
    """Every array that ONNX Runtime, optimizations off, makes of the feeds."""
    from onnx_triangulate.transform.cut import all_outputs

    whole, names = all_outputs(model)
    return dict(zip(names, session(whole).run(list(names), feeds), strict=True))


def session(model: onnx.ModelProto) -> Any:
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def ready(names: Sequence[str], folder: Path) -> dict[str, Kept]:
    """The graphs of these names, exported where they are not there yet."""
    lacking = [name for name in names if not (folder / name / "about.json").exists()]
    context = multiprocessing.get_context("spawn")
    for framework in ("torch", "tensorflow"):
        here = [name for name in lacking if GRAPHS[name][2].partition(":")[0] == framework]
        if here:
            process = context.Process(target=export, args=(framework, here, folder))
            process.start()
            process.join()
            if process.exitcode:
                raise SystemExit(f"the export of {', '.join(here)} ended with {process.exitcode}")
    return {name: Kept(name, folder / name) for name in names}


def export(framework: str, names: Sequence[str], folder: Path) -> None:
    """Export some graphs of one framework and write what is kept of each."""
    from onnx_triangulate.cases import inputs, layout
    from onnx_triangulate.cases.catalogue import find, load
    from onnx_triangulate.engines.frameworks import adapter
    from onnx_triangulate.locate import node_search
    from onnx_triangulate.onnxgraph.weights import Weights
    from onnx_triangulate.verification import worker_tasks

    engine = adapter(framework)
    for name in names:
        file, case_name, exporter = GRAPHS[name]
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        (ref,) = find([f"{ZOO / file}::{case_name}"])
        case = load(ref)
        values = inputs.inputs_of(case, ref.name, 0)
        wanted = engine.exporters[:2] if framework == "torch" else [exporter.partition(":")[2]]
        models = {m.graph: m for m in worker_tasks.export(ref, framework, wanted, 0, place)}
        model = models[exporter]
        if model.error is not None or model.file is None:
            raise SystemExit(f"{name}: {model.error} {model.log[-2000:]}")
        source = node_search.source_values(ref, framework, model, (False, True), 0, place)
        if source.error is not None or source.single is None:
            raise SystemExit(f"{name}: {source.error}")
        known = [f for f in (models["torch:raw"].file if exporter == "torch" else model.weights,) if f is not None]
        feeds = {
            graph: layout.permute(values[own], case.inputs[own].axes, model.axes.get(own, case.inputs[own].axes))
            for own, graph in model.inputs.items()
        }
        proto = onnx.load(model.file)
        about: dict[str, Any] = {
            "graph": exporter,
            "permuted": source.permuted,
            "origins": {name: (origin.value, origin.op) for name, origin in source.origins.items()},
            "computed": list(node_search.computed_constants(proto, Weights(proto, place), known)),
            "below": {graph: int(case.inputs[own].high) for own, graph in model.inputs.items()},
        }
        _name_nodes(proto)
        onnx.save(proto, place / "graph.onnx")
        other = models.get(OTHERS[exporter])
        if other is not None and other.file is not None:
            onnx.save(onnx.load(other.file), place / "other.onnx")
        np.savez(place / "feeds.npz", **feeds)  # type: ignore[arg-type]  # numpy's stub takes its options for arrays
        for kind, file in _FILES.items():
            stored = getattr(source, kind)
            about[kind] = None if stored is None else dict(stored.slots)
            if stored is not None:
                stored.file.rename(place / file)
        (place / "about.json").write_text(json.dumps(about))


def _name_nodes(proto: onnx.ModelProto) -> None:
    """Every node has a name of its own."""
    taken: set[str] = set()
    for index, node in enumerate(proto.graph.node):
        if not node.name or node.name in taken:
            node.name = f"{node.op_type}_{index}"
        taken.add(node.name)
