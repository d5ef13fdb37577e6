"""Pairs of graphs with what is right of them, each kind a function that makes several; ONNX Runtime is the witness.

A pair that differs brings a feed on which ONNX Runtime, as it ships, gives other answers for one graph than for the
other (or runs one of them only).  A pair that means the same brings feeds on which both agree.  :func:`witnessed` runs
them; what it does not confirm is no material and is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx.parser
from onnx import numpy_helper

Array = Any
Feeds = Mapping[str, Array]
APART = 1e-3  # of the largest value: far beyond what rounding of small graphs does
NEAR = 1e-4


@dataclass(frozen=True)
class Pair:
    """Two graphs and a feed; ``nan`` says that they differ in what becomes of NaN and infinities only.

    ``foreign`` says that B holds what a runtime alone reads, which the checker need not like.
    ``dims`` are the sizes of open axes that a user would ask for, those of the example: 2 where nothing is said.
    """

    name: str
    a: onnx.ModelProto
    b: onnx.ModelProto
    feed: Feeds
    nan: bool = False
    dims: Mapping[str, int] = field(default_factory=dict)
    foreign: bool = False

    @property
    def sizes(self) -> dict[str, int]:
        """A size for every open axis of A's inputs."""
        axes = [d.dim_param for i in self.a.graph.input for d in i.type.tensor_type.shape.dim if d.dim_param]
        return {axis: self.dims.get(axis, 2) for axis in axes}


@dataclass(frozen=True)
class Kind:
    name: str
    group: str
    make: Callable[[np.random.Generator], Iterator[Pair]]
    about: str = field(default="")


HIDDEN: dict[str, Kind] = {}
REWRITES: dict[str, Kind] = {}
Maker = Callable[[np.random.Generator], Iterator[Pair]]


def hidden(group: str) -> Callable[[Maker], Maker]:
    """Registers a kind of pairs that differ where ordinary feeds do not look."""
    return _registered(HIDDEN, group)


def rewrite(group: str) -> Callable[[Maker], Maker]:
    """Registers a kind of pairs that mean the same."""
    return _registered(REWRITES, group)


def _registered(kinds: dict[str, Kind], group: str) -> Callable[[Maker], Maker]:
    def register(make: Maker) -> Maker:
        name = make.__name__
        if name in kinds:
            raise ValueError(f"two kinds are named {name}")
        kinds[name] = Kind(name, group, make, (make.__doc__ or "").strip())
        return make

    return register


def graph(border: str, body: str, opset: int = 20, **tensors: Any) -> onnx.ModelProto:
    """A model of ``"float[n,3] x => float[n,3] y"`` and a body; the tensors are its initializers."""
    taken, given = (side.strip() for side in border.split("=>"))
    text = f'<ir_version: 9, opset_import: ["" : {opset}]> g ({taken}) => ({given}) {{ {body} }}'
    model = onnx.parser.parse_model(text)
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(v), n) for n, v in tensors.items())
    return model


def floats(*values: Any) -> Array:
    return np.asarray(values if len(values) > 1 else values[0], np.float32)


def ints(*values: int) -> Array:
    return np.asarray(values, np.int64)


def near(random: np.random.Generator, *shape: int) -> Array:
    return random.uniform(-1, 1, shape).astype(np.float32)


def outputs(model: onnx.ModelProto, feed: Feeds) -> dict[str, Array] | str:
    """What ONNX Runtime gives, or the kind of its refusal."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        return f"load: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    names = [o.name for o in session.get_outputs()]
    known = {i.name for i in session.get_inputs()}
    try:
        made = session.run(names, {n: v for n, v in feed.items() if n in known})
    except Exception as error:
        return f"run: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return dict(zip(names, made, strict=True))


def apart(a: dict[str, Array] | str, b: dict[str, Array] | str) -> float:
    """How far two answers are apart, relative to the largest value; infinite where they cannot be compared."""
    if isinstance(a, str) or isinstance(b, str):
        return 0.0 if isinstance(a, str) and isinstance(b, str) else np.inf
    if sorted(a) != sorted(b):
        return np.inf
    return max((_far(a[name], b[name]) for name in a), default=0.0)


def _far(a: Array, b: Array) -> float:
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.dtype != b.dtype:
        return np.inf
    if a.dtype.kind not in "fc":
        return float(np.inf if np.any(a != b) else 0)
    a, b = a.astype(np.float64), b.astype(np.float64)
    odd = ~(np.isfinite(a) & np.isfinite(b))
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    if np.any(odd & ~same):
        return np.inf
    a, b = a[~odd], b[~odd]
    if not a.size:
        return 0.0
    largest = max(float(np.abs(a).max()), float(np.abs(b).max()))
    return float(np.abs(a - b).max()) / largest if largest else 0.0


def witnessed(pair: Pair, differs: bool) -> str:
    """Nothing where ONNX Runtime confirms what is right of a pair; otherwise why the pair is no material."""
    answers = outputs(pair.a, pair.feed), outputs(pair.b, pair.feed)
    for side, (model, answer) in zip("AB", zip((pair.a, pair.b), answers, strict=True), strict=True):
        if isinstance(answer, str) and answer.startswith("load"):
            return f"{side} is not loaded: {answer}"
        if side == "B" and pair.foreign:
            continue
        try:
            onnx.checker.check_model(model, full_check=True)
        except Exception as error:
            return f"{side} is refused by the checker: {' '.join(str(error).split())[:200]}"
    if isinstance(answers[0], str) and isinstance(answers[1], str):
        return f"neither runs: {answers[0]}"
    far = apart(*answers)
    if differs:
        return "" if far > APART else f"not shown: {far:.2g}"
    return "" if far <= NEAR else f"apart: {far:.2g}"


def made(kind: Kind, seed: int, differs: bool) -> Iterator[tuple[str, Pair, str]]:
    """The pairs of a kind by key, and why one is left out."""
    random = np.random.default_rng([seed, *kind.name.encode()])
    for pair in kind.make(random):
        yield f"{kind.name}/{pair.name}", pair, witnessed(pair, differs)
