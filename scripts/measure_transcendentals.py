"""How exact a runtime's elementary functions are: c in |computed - f(x)| <= c u |f(x)| + floor, u = 2^-24.

    .venv/bin/python scripts/measure_transcendentals.py --write

Each function is run on every ``--stride``-th float32 of its domain, all exponents and both signs, on a linear grid over
[-20, 20], and on every float32 from 1/16 to 32 in size, and held against float64.  c is the largest relative error of
results above ``BULK``, rounded up to a whole unit.  Where smaller results are much less exact than that (a runtime
clamps an argument, or flushes), what they exceed it by is the floor.  ``Gelu`` is the absolute error of the factor
1 + erf(x / sqrt 2) inside a fused Gelu, whose erf is often a coarser one than the function by itself.

The table is ``ops/elementary.json``, and rules read it.  Kernels depend on the processor, so each
measurement is kept with its version, date and processor, and a constant is the largest over the measurements of one
version: run this on another kind of processor and the table grows.  A test says when an installed runtime exceeds it.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import math
import os
import platform
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # as the adapter of TensorFlow has it
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import onnx

from onnx_triangulate.ops.elementary import elementary
from onnx_triangulate.ops.enclosures import phi
from onnx_triangulate.ops.families.transcendental import FUNCTIONS
from onnx_triangulate.records.arrays import Array

TABLE = Path(__file__).resolve().parents[1] / "pipeline" / "onnx_triangulate" / "ops" / "elementary.json"
UNIT, TINY, BULK = 2.0**-24, 2.0**-126, 0.25
SHARED = (-3, -2, -1, -0.5, 0.5, 1 / 3, 1, 1.5, 2, 3, 4, 5, 7, 10)  # exponents that are one number for all


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
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda *arrays: np.asarray(session.run(None, dict(zip(names, arrays, strict=True)))[0])


def torch(op: str, inputs: int = 1) -> Callable[..., Array]:
    """The function in PyTorch on the CPU; an operand of one number is a scalar, as a user writes it."""
    import torch as engine

    function: Any = engine.nn.functional.gelu if op == "Gelu" else getattr(engine, op.lower())
    return lambda *arrays: np.asarray(
        function(*(engine.from_numpy(a) if a.size > 1 else a.item() for a in arrays)).numpy()
    )


def tensorflow(op: str, inputs: int = 1) -> Callable[..., Array]:
    """The function in TensorFlow on the CPU."""
    import tensorflow as engine

    function: Any = engine.nn.gelu if op == "Gelu" else getattr(engine.math, op.lower())
    return lambda *arrays: np.asarray(function(*arrays).numpy())


RUNTIMES: dict[str, Callable[..., Callable[..., Array]]] = {
    "onnxruntime": onnxruntime,
    "tensorflow": tensorflow,
    "torch": torch,
}


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
    """(c, floor) of one function over a grid and over :func:`every`, in pieces: the worst is often one single float."""
    computed, found = run(op), []
    for piece in (*np.array_split(points, max(1, points.size // 2**20)), *every()):
        with np.errstate(all="ignore"):
            distance, size = errors(computed(piece), FUNCTIONS[op](piece.astype(np.float64)))
        if piece.size == 2**20:  # of these only the worst are kept, or memory would not do
            keep = np.argpartition(-distance / np.maximum(size, TINY), min(64, size.size - 1))[:64]
            distance, size = distance[keep], size[keep]
        found.append((distance, size))
    return fitted(np.concatenate([d for d, _ in found]), np.concatenate([s for _, s in found]))


def every() -> Iterator[Array]:
    """Every float32 from 1/16 to 32 in size, where activations bend, in pieces of 2^20."""
    low, high = (int(np.float32(v).view(np.uint32)) for v in (1 / 16, 32))
    for sign in (0, 2**31):
        for start in range(low, high, 2**20):
            yield np.arange(start + sign, start + sign + 2**20, dtype=np.uint32).view(np.float32)


def excess(runtime: str, op: str, points: Array) -> float:
    """How far a function is beyond its recorded constants on a grid, as a ratio: above 1, the table is out of date."""
    c, floor = elementary(runtime)[op]
    with np.errstate(all="ignore"):
        distance, size = errors(RUNTIMES[runtime](op)(points), FUNCTIONS[op](points.astype(np.float64)))
    return float((distance / (c * UNIT * size + floor + TINY)).max(initial=0.0))


def measure_power(run: Callable[..., Callable[..., Array]], count: int) -> tuple[float, float]:
    """Powers of positive numbers of many sizes, whole powers of negative ones, and one exponent for all of them.

    A single exponent is another kernel: engines write x ** 3 as products and x ** 0.5 as a root.
    """
    random = np.random.default_rng(0)
    base = np.exp(random.uniform(-20, 20, count)).astype(np.float32)
    base[: count // 4] *= -1
    exponent = (random.normal(size=count) * 3).astype(np.float32)
    exponent[: count // 2] = np.round(exponent[: count // 2])
    power, found = run("Pow", 2), []
    with np.errstate(all="ignore"):
        for each in (exponent, *(np.array([value], np.float32) for value in SHARED)):
            exact = np.power(base.astype(np.float64), each.astype(np.float64))
            found.append(errors(power(base, each), exact))
    return fitted(np.concatenate([d for d, _ in found]), np.concatenate([s for _, s in found]))


def excess_of_power(runtime: str, count: int) -> float:
    """As :func:`excess`, for powers."""
    c, floor = elementary(runtime)["Pow"]
    relative, absolute = measure_power(RUNTIMES[runtime], count)
    return max(relative / c, absolute / (floor + TINY))


def gelu_factor(computed: Array, x: Array) -> Array:
    """The error of 1 + erf(x / sqrt 2) that a Gelu's results show; products by x / 2 round like any other."""
    wide = x.astype(np.float64)
    keep = np.isfinite(computed) & (np.abs(wide) > 2.0**-100) & (np.abs(wide) < 2.0**100)
    distance = np.abs(computed[keep].astype(np.float64) - wide[keep] * phi(wide[keep]))
    return np.asarray(distance / (np.abs(wide[keep]) / 2))


def measure_gelu(run: Callable[..., Callable[..., Array]], pieces: Iterable[Array]) -> tuple[float, float]:
    """Nothing relative and an absolute floor: see :func:`gelu_factor`."""
    computed = run("Gelu")
    with np.errstate(all="ignore"):
        return 0.0, max(float(gelu_factor(computed(piece), piece).max(initial=0.0)) for piece in pieces)


def excess_of_gelu(runtime: str, points: Array) -> float:
    """As :func:`excess`, for the factor inside a Gelu."""
    c, floor = elementary(runtime)["Gelu"]
    return measure_gelu(RUNTIMES[runtime], [points])[1] / (floor + c * UNIT)


def table(runtime: str, stride: int, only: str | None = None) -> dict[str, tuple[float, float]]:
    """Every function's measured (c, floor), or that of ``only`` one."""
    points, run = grid(stride), RUNTIMES[runtime]
    measures: dict[str, Callable[[], tuple[float, float]]] = {
        **{op: functools.partial(measure, run, op, points) for op in FUNCTIONS},
        "Gelu": lambda: measure_gelu(run, (*np.array_split(points, 16), *every())),
        "Pow": lambda: measure_power(run, points.size),
    }
    return {op: made() for op, made in measures.items() if only in (None, op)}


def processor() -> str:
    """The processor, and what is asked of the engines to do without of it."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").is_file() else []
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = [f for f in ("avx2", "avx512f", "avx512_bf16", "amx_tile") if f in facts.get("flags", "").split()]
    asked = [f"{name}={os.environ[name]}" for name in ("ATEN_CPU_CAPABILITY",) if name in os.environ]
    return ", ".join([facts.get("model name", platform.machine()), *flags, *asked])


def rounded(found: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """c up to a whole unit, and two digits of the floor, upwards."""
    return {op: (float(max(1, math.ceil(c))), _up(floor)) for op, (c, floor) in found.items()}


def merged(measurements: list[dict[str, Any]], version: str) -> dict[str, tuple[float, float]]:
    """The largest constants of a version over all processors it was measured on."""
    constants: dict[str, tuple[float, float]] = {}
    for each in measurements:
        if each["version"] == version:
            for op, (c, floor) in rounded(each["measured"]).items():
                most = constants.get(op, (0.0, 0.0))
                constants[op] = (max(c, most[0]), max(floor, most[1]))
    return constants


def _up(value: float) -> float:
    if value == 0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / step) * step:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--stride", type=int, default=1009, help="every so-manieth float32 (a prime)")
    parser.add_argument("--runtime", choices=sorted(RUNTIMES), action="append", help="default: all")
    parser.add_argument("--only", metavar="OP", help="measure one function; the others stay as they were measured")
    parser.add_argument("--write", action="store_true", help=f"write {TABLE.name}")
    arguments = parser.parse_args()
    old = json.loads(TABLE.read_text(encoding="utf-8")) if TABLE.is_file() else {"runtimes": {}}
    for runtime in arguments.runtime or sorted(RUNTIMES):
        found = table(runtime, arguments.stride, arguments.only)
        if not found:
            parser.error(f"--only {arguments.only}: no function of that name is measured")
        version = __import__(runtime).__version__
        held = old["runtimes"].setdefault(runtime, {"measurements": []})
        here = {
            "version": version,
            "date": datetime.date.today().isoformat(),
            "processor": processor(),
            "stride": arguments.stride,
            "measured": {op: [round(c, 3), floor] for op, (c, floor) in found.items()},
        }
        same = (here["version"], here["processor"])
        if arguments.only:
            before = [m["measured"] for m in held["measurements"] if (m["version"], m["processor"]) == same]
            here["measured"] = {**(before[-1] if before else {}), **here["measured"]}
        held["measurements"] = [m for m in held["measurements"] if (m["version"], m["processor"]) != same] + [here]
        held["version"], held["constants"] = version, merged(held["measurements"], version)
        for op, (c, floor) in found.items():
            now = held["constants"][op]
            print(f"{runtime:12} {op:8} c {c:6.2f} -> {now[0]:3.0f}  floor {floor:.2e} -> {now[1]:.1e}")
    if arguments.write:
        TABLE.write_text(json.dumps(old, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
