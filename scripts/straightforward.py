"""The script that one would write first, to measure against: one process, one case after the other.

Per case one ``torch.onnx.export(dynamo=True)``, one tf2onnx conversion, and each file in ONNX Runtime at two levels.
It looks at nothing and compares nothing.  Prints ``IMPORT_SECONDS CASES SECONDS``.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "ORT_DISABLE_TELEMETRY": "1", "TF_ENABLE_ONEDNN_OPTS": "0"}


def main(targets: list[str]) -> None:
    warnings.simplefilter("ignore")
    started = time.perf_counter()
    import onnx
    import onnxruntime as ort
    import tensorflow as tf
    import tf2onnx
    import torch

    imported = time.perf_counter() - started

    from onnx_triangulate import Tensor
    from onnx_triangulate.cases import catalogue, inputs, layout
    from onnx_triangulate.engines.frameworks import adapter

    orders = adapter("tensorflow").layouts
    refs = catalogue.find(targets)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for ref in refs:
            case = catalogue.load(ref)
            feeds = inputs.inputs_of(case, ref.name, 0)
            there = {
                n: layout.permute(feeds[n], t.axes, layout.order(t, "tensorflow", orders))
                for n, t in case.inputs.items()
            }
            files: list[tuple[Path, dict[str, object]]] = []

            given = inputs.parameters_of(case, ref.name, "torch", 0)
            tensors = {k: torch.from_numpy(v) if hasattr(v, "dtype") else v for k, v in given.items()}
            model = case.builders["torch"](torch, **tensors)

            class Module(torch.nn.Module):  # type: ignore[misc]  # engines are Any here
                def forward(self, *xs: object, model: object = model) -> object:
                    return model(*xs)  # type: ignore[operator]

            file = Path(folder) / "torch.onnx"
            with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(Exception):
                arguments = tuple(torch.from_numpy(x) for x in feeds.values())
                torch.onnx.export(
                    Module().train(case.training), arguments, str(file), dynamo=True, input_names=list(feeds)
                )
                files.append((file, dict(feeds)))

            given = inputs.parameters_of(case, ref.name, "tensorflow", 0)
            for name, spec in inputs.specs_of(case, "tensorflow").items():
                if isinstance(spec, Tensor):
                    value = layout.permute(given[name], spec.axes, layout.order(spec, "tensorflow", orders))
                    given[name] = tf.Variable(value, trainable=False)
            built = case.builders["tensorflow"](tf, **given)
            signature = [tf.TensorSpec(x.shape, x.dtype, name=name) for name, x in there.items()]
            file = Path(folder) / "tensorflow.onnx"
            with contextlib.suppress(Exception):
                proto, _ = tf2onnx.convert.from_function(tf.function(lambda *xs, m=built: m(*xs)), signature)
                onnx.save(proto, file)
                files.append((file, dict(there)))

            for file, arrays in files:
                for level in (ort.GraphOptimizationLevel.ORT_DISABLE_ALL, ort.GraphOptimizationLevel.ORT_ENABLE_ALL):
                    options = ort.SessionOptions()
                    options.graph_optimization_level = level
                    options.log_severity_level = 4
                    with contextlib.suppress(Exception):
                        session = ort.InferenceSession(str(file), options)
                        names = {value.name for value in session.get_inputs()}
                        session.run(None, {name: x for name, x in arrays.items() if name in names})
    print(f"{imported:.2f} {len(refs)} {time.perf_counter() - started:.2f}")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    main(sys.argv[1:])
