"""How exact a runtime's elementary functions are: c in |computed - f(x)| <= c u |f(x)| + floor, u = 2^-24.

    .venv/bin/python scripts/measure_transcendentals.py --write

Each function is run on every ``--stride``-th float32 of its domain, all exponents and both signs, and on a linear grid
over [-20, 20], and held against float64.  c is the largest relative error of results above ``BULK``, rounded up to a
whole unit.  Where smaller results are much less exact than that (a runtime clamps an argument, or flushes), what they
exceed it by is the floor.  The table is ``pipeline/numerics/rules/elementary.json``: versions and date are in it, and
rules read it; a test says when an installed runtime exceeds what is written.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnx

from pipeline.data import Array
from pipeline.numerics.rules import elementary
from pipeline.numerics.rules.transcendental import FUNCTIONS

TABLE = Path(__file__).resolve().parents[1] / "pipeline" / "numerics" / "rules" / "elementary.json"
UNIT, TINY, BULK = 2.0**-24, 2.0**-126, 0.25


def grid(stride: int) -> Array:
    """Float32 numbers of every exponent, and a linear grid where most activations live."""
    bits = np.arange(0, 2**32, stride, dtype=np.uint64).astype(np.uint32).view(np.float32)
    plain = bits[np.isfinite(bits) & ((np.abs(bits) >= TINY) | (bits == 0))]
    return np.concatenate([plain, np.linspace(-20, 20, max(2**28 // stride, 1000), dtype=np.float32)])


def onnxruntime(op: str, inputs: int = 1) -> Callable[..., Array]:
    """The operator in ONNX Runtime, one thread, nothing optimized."""
    import onnxruntime as ort

    names = ["x", "z"][:inputs]
    values = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [None]) for n in (*names, "y")]
    graph = onnx.helper.make_graph([onnx.helper.make_node(op, names, ["y"])], "g", values[:-1], values[-1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda *arrays: np.asarray(session.run(None, dict(zip(names, arrays, strict=True)))[0])


def torch(op: str, inputs: int = 1) -> Callable[..., Array]:
    """The function in PyTorch on the CPU."""
    import torch as engine

    function: Any = engine.pow if op == "Pow" else getattr(engine, op.lower())
    return lambda *arrays: np.asarray(function(*(engine.from_numpy(a) for a in arrays)).numpy())


RUNTIMES: dict[str, Callable[..., Callable[..., Array]]] = {"onnxruntime": onnxruntime, "torch": torch}


def errors(computed: Array, exact: Array) -> tuple[Array, Array]:
    """(distance, size) of the results that say something about rounding."""
    keep = np.isfinite(exact) & (np.abs(exact) < 3.4e38) & np.isfinite(computed)
    return np.abs(computed[keep].astype(np.float64) - exact[keep]), np.abs(exact[keep])


def fitted(distance: Array, size: Array) -> tuple[float, float]:
    """(c, floor): c of the results above ``BULK``; below it the same or a little more, or else an absolute floor."""
    relative = distance / UNIT / np.maximum(size, TINY)
    bulk, whole = float(relative[size >= BULK].max(initial=0.0)), float(relative.max(initial=0.0))
    if whole <= 2 * bulk + 2:
        return whole, 0.0
    return bulk, float((distance - math.ceil(bulk) * UNIT * size).max(initial=0.0))


def measure(run: Callable[[str], Callable[..., Array]], op: str, points: Array) -> tuple[float, float]:
    """(c, floor) of one function over a grid, in pieces."""
    computed, found = run(op), []
    for piece in np.array_split(points, max(1, points.size // 2**20)):
        with np.errstate(all="ignore"):
            found.append(errors(computed(piece), FUNCTIONS[op](piece.astype(np.float64))))
    return fitted(np.concatenate([d for d, _ in found]), np.concatenate([s for _, s in found]))


def excess(runtime: str, op: str, points: Array) -> float:
    """How far a function is beyond its recorded constants on a grid, as a ratio: above 1, the table is out of date."""
    c, floor = elementary(runtime)[op]
    with np.errstate(all="ignore"):
        distance, size = errors(RUNTIMES[runtime](op)(points), FUNCTIONS[op](points.astype(np.float64)))
    return float((distance / (c * UNIT * size + floor + TINY)).max(initial=0.0))


def measure_power(run: Callable[..., Callable[..., Array]], count: int) -> tuple[float, float]:
    """Powers of positive numbers of many sizes, and whole powers of negative ones."""
    random = np.random.default_rng(0)
    base = np.exp(random.uniform(-20, 20, count)).astype(np.float32)
    base[: count // 4] *= -1
    exponent = (random.normal(size=count) * 3).astype(np.float32)
    exponent[: count // 2] = np.round(exponent[: count // 2])
    with np.errstate(all="ignore"):
        exact = np.power(base.astype(np.float64), exponent.astype(np.float64))
        return fitted(*errors(run("Pow", 2)(base, exponent), exact))


def table(runtime: str, stride: int) -> dict[str, tuple[float, float]]:
    """Every function's measured (c, floor)."""
    points = grid(stride)
    found = {op: measure(RUNTIMES[runtime], op, points) for op in FUNCTIONS}
    return found | {"Pow": measure_power(RUNTIMES[runtime], points.size)}


def rounded(found: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """c up to a whole unit, and two digits of the floor, upwards."""
    return {op: (float(max(1, math.ceil(c))), _up(floor)) for op, (c, floor) in found.items()}


def _up(value: float) -> float:
    if value == 0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / step) * step:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--stride", type=int, default=251, help="every so-manieth float32 (a prime)")
    parser.add_argument("--runtime", choices=sorted(RUNTIMES), action="append", help="default: all")
    parser.add_argument("--write", action="store_true", help=f"write {TABLE.name}")
    arguments = parser.parse_args()
    old = json.loads(TABLE.read_text(encoding="utf-8")) if TABLE.is_file() else {"runtimes": {}}
    for runtime in arguments.runtime or sorted(RUNTIMES):
        found = table(runtime, arguments.stride)
        constants = rounded(found)
        for op in found:
            print(f"{runtime:12} {op:8} c {found[op][0]:6.2f} -> {constants[op][0]:3.0f}  floor {found[op][1]:.2e}")
        version = __import__(runtime).__version__
        old["runtimes"][runtime] = {
            "version": version,
            "date": datetime.date.today().isoformat(),
            "stride": arguments.stride,
            "measured": {op: [round(c, 3), floor] for op, (c, floor) in found.items()},
            "constants": constants,
        }
    if arguments.write:
        TABLE.write_text(json.dumps(old, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
