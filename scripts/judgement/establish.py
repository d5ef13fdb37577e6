"""What is right of a healthy model, established without this project: the framework, its exporters, ONNX Runtime.

    python -m judgement.establish torch CASES.py OUT.jsonl [NAME ...]      # in scripts/

A line a model: how far the framework is from itself in float64, and of each exporter that it refused, that ONNX's
checker or ONNX Runtime refuses its graph, or how far ONNX Runtime is from the framework: all relative to the largest
value, on numbers drawn here.  Beyond 1e-4 a model counts as a true divergence and as no healthy one.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import logging
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from judgement.pairs import apart, outputs

Record = dict[str, Any]
OPSET = 20


def drawn(case: Any, seed: int) -> dict[str, Any]:
    """Numbers for the case's inputs, by a generator of our own."""
    random = np.random.default_rng([seed, *case.name.encode()])
    made = {}
    for name, tensor in case.inputs.items():
        kind = np.dtype(tensor.dtype)
        shape = tuple(tensor.shape or ())
        if tensor.values is not None:
            made[name] = np.asarray(tensor.values, kind).reshape(shape)
        elif kind.kind == "b":
            made[name] = random.integers(0, 2, shape).astype(bool)
        elif kind.kind in "iu" or tensor.integers:
            made[name] = random.integers(int(tensor.low), int(tensor.high), shape).astype(kind)
        else:
            made[name] = random.uniform(tensor.low, tensor.high, shape).astype(kind)
    return made


def flat(value: Any) -> list[Any]:
    """The arrays of a nested answer, in order."""
    if isinstance(value, Mapping):
        return [a for v in value.values() for a in flat(v)]
    if isinstance(value, (list, tuple)):
        return [a for v in value for a in flat(v)]
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.float() if str(value.dtype) == "torch.bfloat16" else value
        return [value.numpy()]
    return [np.asarray(value)]


def reason(error: BaseException) -> str:
    """The innermost reason that an exporter gives, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {' '.join(re.sub(chr(27) + r'.[0-9;]*m', '', str(error)).split())[:300]}"


def far(a: Sequence[Any], b: Sequence[Any], *, types: bool = True) -> float:
    """The largest distance between two lists of arrays, as :func:`judgement.pairs.apart` measures it."""
    if len(a) != len(b):
        return float("inf")
    if not types:
        a = [v.astype(np.float64) if v.dtype.kind == "f" else v for v in a]
        b = [v.astype(np.float64) if v.dtype.kind == "f" else v for v in b]
    return apart(*({str(i): v for i, v in enumerate(side)} for side in (a, b)))


def of_graph(file: Path, feeds: Sequence[Any], native: Sequence[Any]) -> Record:
    """What the checker, ONNX Runtime and the stock evaluator say of an exported graph."""
    import onnx
    import onnx.reference

    model = onnx.load(file)
    record: Record = {}
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:
        record["checker"] = " ".join(str(error).split())[:200]
    held = {t.name for t in model.graph.initializer}
    names = [i.name for i in model.graph.input if i.name not in held]
    feed = dict(zip(names, feeds, strict=False))
    answer = outputs(model, feed)
    record["runtime"] = answer if isinstance(answer, str) else far(native, list(answer.values()))
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            made = onnx.reference.ReferenceEvaluator(model).run(None, feed)
        record["evaluator"] = far(native, flat(list(made)))
    except Exception as error:
        record["evaluator"] = f"{type(error).__name__}: {' '.join(str(error).split())[:150]}"
    return record


def of_torch(case: Any, seed: int) -> Record:
    import torch

    from onnx_triangulate.engines.frameworks import torch as adapter

    shared = getattr(adapter, "_shared_registry", contextlib.nullcontext)  # for speed alone
    given = drawn(case, seed)

    def built() -> Any:
        torch.manual_seed(0)
        return case.builders["torch"](torch).eval()

    def tensors(double: bool = False) -> list[Any]:
        made = [torch.from_numpy(v.copy()) for v in given.values()]
        return [t.double() if double and t.dtype == torch.float32 else t for t in made]

    record: Record = {"exports": {}}
    with torch.no_grad():
        native = flat(built()(*tensors()))
        record["itself"] = far(native, flat(built()(*tensors())))
        double = built().double()  # the same draws: of float64 torch draws others
        try:
            torch.set_default_dtype(torch.float64)
            record["double"] = far(native, flat(double(*tensors(True))), types=False)
        except Exception as error:
            record["double"] = f"{type(error).__name__}: {' '.join(str(error).split())[:150]}"
        finally:
            torch.set_default_dtype(torch.float32)
    names = list(given)
    with tempfile.TemporaryDirectory() as folder:
        for exporter, more in (
            ("torch", {"dynamo": True, "verbose": False, "opset_version": OPSET}),
            ("torch:script", {"dynamo": False, "input_names": names, "opset_version": OPSET}),
        ):
            file = Path(folder) / "model.onnx"
            file.unlink(missing_ok=True)
            try:
                with shared(), torch.no_grad():
                    torch.onnx.export(built(), tuple(tensors()), file, **more)
            except Exception as error:
                record["exports"][exporter] = {"refused": reason(error)}
                continue
            record["exports"][exporter] = of_graph(file, list(given.values()), native)
    return record


def of_tensorflow(case: Any, seed: int) -> Record:
    import tensorflow as tf
    import tf2onnx

    given = drawn(case, seed)
    if any(t.axes == "n c h w" for t in case.inputs.values()):
        given = {n: np.ascontiguousarray(v.transpose(0, 2, 3, 1)) for n, v in given.items()}
    tf.random.set_seed(0)
    tf.keras.utils.set_random_seed(0)
    built = case.builders["tensorflow"](tf)
    model = functools.partial(built, training=False) if isinstance(built, tf.keras.layers.Layer) else built
    native = flat(model(*[tf.constant(v) for v in given.values()]))
    record: Record = {"exports": {}, "double": None}
    record["itself"] = far(native, flat(model(*[tf.constant(v) for v in given.values()])))
    call = tf.function(model.__call__ if model is built else model)
    signature = [tf.TensorSpec(v.shape, v.dtype, name=n) for n, v in given.items()]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        try:
            tf2onnx.convert.from_function(call, input_signature=signature, output_path=str(file))
        except Exception as error:
            record["exports"]["tensorflow"] = {"refused": reason(error)}
            return record
        record["exports"]["tensorflow"] = of_graph(file, list(given.values()), native)
    return record


def establish(framework: str, file: Path, out: Path, names: Sequence[str], seed: int = 7) -> Iterator[Record]:
    """The records of cases that have none yet; a case that killed an earlier process is said to."""
    from judgement.verdicts import Lines
    from onnx_triangulate.cases.catalogue import load_file

    lines = Lines(out)
    wanted = {c.name: c for c in load_file(file)}
    for name in names or list(wanted):
        if name in lines:
            continue
        trying = out.with_suffix(".trying")
        if trying.exists() and trying.read_text() == name:
            record: Record = {"died": True, "exports": {}}
        else:
            trying.write_text(name)
            try:
                record = {"torch": of_torch, "tensorflow": of_tensorflow}[framework](wanted[name], seed)
            except Exception as error:
                record = {"failed": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}", "exports": {}}
        trying.unlink(missing_ok=True)
        record = {"key": name, **record}
        lines.add(record)
        yield record


def main() -> int:
    framework, file, out, *names = sys.argv[1:]
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    for record in establish(framework, Path(file), Path(out), names):
        json.dumps(record)
    return 0


if __name__ == "__main__":
    sys.exit(main())
