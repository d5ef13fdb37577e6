"""Two graphs that should mean the same: borders matched, both run, and every node named at which they part.

Design note.  There is no native run here, so no side is the truth: ``B`` is judged by ``A``.  Meaning is compared in
float64, where a fault stands out from 1e-13 of rounding (:mod:`pipeline.numerics.forced`), on random feeds, on small
integers, because random numbers rarely tie, and on large numbers, because small ones reach no limit; feeds of the
user's own replace them.  Arithmetic is compared in the
graphs' own types: each node of each graph, as the runtime runs it with its optimizations off, is held against the bound
of its operator, and the outputs against what roundings inside of A may do to them: a B that is further off rounds
more than A does.  A graph that could not be run, an output without a counterpart, a size that only A takes, a constant,
an attribute or an inner graph that differs where nothing shows it, random numbers, nothing compared: never "same".
"""

from __future__ import annotations

import contextlib
import functools
import math
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import compare_tasks as tasks
from pipeline.compare_tasks import Border, Port, Replayed
from pipeline.data import Array, ComparedOutput, Failure, GraphComparison, GuiltyNode, UnusableInput
from pipeline.graph.align import Orientation
from pipeline.numerics.compare import compare
from pipeline.numerics.forced import Forced
from pipeline.report.text import safe
from pipeline.verify import installed
from pipeline.workers import Workers

WORKER = "graphs"
KINDS = ("random", "integers", "large")
WHOLE = {"random": 9, "integers": 3, "large": 100}  # how far whole numbers are from 0 that are no places and no sizes
LARGE = 100  # times a number below 1: beyond the limits of activations, as pixels are
_LAYOUTS = ((0, 2, 3, 1), (0, 3, 1, 2), (0, 2, 1), (0, 2, 3, 4, 1), (0, 4, 1, 2, 3))
_PLAIN = Orientation()


@dataclass(frozen=True)
class Options:
    """``inputs`` is an ``.npz`` file; ``dims`` gives named axes a size; ``timeout`` in seconds, ``memory`` in bytes."""

    inputs: Path | None = None
    dims: Mapping[str, int] = field(default_factory=dict)
    seed: int = 0
    timeout: float = 120
    memory: int = 8 * 2**30


@dataclass(frozen=True)
class Match:
    """B's border values with A's: the name in A, how to turn A's value, and how the two were found."""

    found: Mapping[str, tuple[str, Orientation]]
    how: Mapping[str, str]


def compare_files(left: Path, right: Path, options: Options | None = None) -> GraphComparison:
    """Compare ``right`` (B) with ``left`` (A).

    Raises :class:`~pipeline.data.UnusableInput` where a file, its inputs or a dimension cannot be used.
    """
    options = options or Options()
    started = time.perf_counter()
    folder = Path(tempfile.mkdtemp(prefix="triangulate-"))
    try:
        with Workers(jobs=1, timeout=options.timeout, memory=options.memory, logs=folder / "logs") as workers:
            return _compare(workers, left, right, options, folder, started)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _compare(
    workers: Workers, left: Path, right: Path, options: Options, folder: Path, started: float
) -> GraphComparison:
    borders = []
    for file in (left, right):
        border = workers.call(WORKER, tasks.read_border, file.absolute())
        if isinstance(border, Failure):
            raise UnusableInput(f"{file}: reading it ended in {border.kind}: {border.says}")
        borders.append(border)
    a, b = borders
    named = {d for side in borders for p in side.inputs for d in p.shape or () if isinstance(d, str)}
    for name in options.dims:
        if name not in named:
            listed = ", ".join(map(safe, sorted(named))) or "none"
            raise UnusableInput(f"--dim {safe(name)}: no input has an axis of that name; there is {listed}")
    if options.dims and options.inputs is not None:
        raise UnusableInput("--dim and --inputs: the arrays have sizes of their own; give one of the two")
    inputs = match(a.inputs, b.inputs, "inputs", options.dims, strict=True)
    outputs = match(a.outputs, b.outputs, "outputs", options.dims, strict=False)
    notes = [
        f"{kind} {said}" for kind, m in (("input", inputs), ("output", outputs)) for said in m.how.values() if said
    ]
    problems = _lacking(a, b, outputs)
    if options.inputs is None:
        problems += _fixed(a, b, inputs, options.dims)
    problems += [
        f"{side}: {said} draws random numbers, and an output depends on them"
        for side, said in (("A", a.drawn), ("B", b.drawn))
        if said
    ]
    turned = any(way != _PLAIN for _, way in inputs.found.values()) or not any(len(p.shape or ()) > 2 for p in a.inputs)
    feeds = _feeds(a, b, inputs, options)
    guilty: list[GuiltyNode] = []
    meant: Forced | None = None
    worst, compared, judged, unbounded, held = 0.0, 0, 0, 0, 0
    seen: list[ComparedOutput] = []
    parts_somewhere, finite = False, set[str]()
    for name, arrays in feeds.items():
        forced = _in_float64(workers, left, right, arrays, inputs, outputs, folder)
        if isinstance(forced, Failure):
            problems.append(f"{name}: not compared in float64: {forced.kind}: {forced.says}")
        else:
            compared += forced.compared
            held = max(held, forced.held)
            worst = max(worst, forced.worst)
            problems += [f"{name}: not judged in float64: {text}" for text in forced.unjudged]
            if not forced.compared:
                problems.append(f"{name}: nothing was compared in float64")
            if meant is None or (forced.guilty and not meant.guilty):
                meant = forced
            if not any(g.party == "B" for g in guilty):
                guilty += _guilty(forced)
                if forced.guilty:
                    notes.append(f"the guilty nodes of B show on the {name} inputs")
        runs = _replayed(workers, left, right, arrays, inputs, folder)
        for side, run in runs.items():
            judged, unbounded, held = judged + run.judged, unbounded + run.unbounded, max(held, run.held)
            guilty += [g for g in run.guilty if (g.node, g.party) not in {(h.node, h.party) for h in guilty}]
            if run.problem:
                problems.append(f"{name}: {side}: {run.problem}")
        parted = _outputs(runs, outputs, outputs.how, functools.partial(_room, workers, left, right, folder), turned)
        seen = seen or parted
        problems += [f"{name}: {p.problem}" for p in parted if p.outcome == "diverges" and not guilty and p.problem]
        problems += [
            f"{name}: {safe(p.right)} is apart by {p.max_abs:.3g} in the graphs' own types, with no known bound"
            for p in parted
            if p.outcome == "unbounded" and not guilty
        ]
        # What draws random numbers gives others each time: that says nothing of what the graphs mean.
        parts_somewhere |= not (a.drawn or b.drawn) and any(p.outcome == "diverges" for p in parted)
        finite |= _finite(runs["B"])
    problems += [
        f"no element of {safe(name)} is finite on any of the inputs, so agreement on it says nothing"
        for name in outputs.found
        if name not in finite and not any(p.right == name and p.outcome == "missing" for p in seen)
    ]
    order = {"B": 0}
    guilty.sort(key=lambda g: order.get(g.party, 1))
    outcome = "differs" if guilty or parts_somewhere else "same"
    if outcome == "same" and (problems or not compared):
        outcome = "uncompared"
    return GraphComparison(
        left,
        right,
        outcome,  # type: ignore[arg-type]  # one of three words, chosen two lines above
        compared,
        tuple(guilty),
        {"A": meant.alignment.only_left, "B": meant.alignment.only_right} if meant else {"A": (), "B": ()},
        len(meant.alignment.pairs) if meant else 0,
        tuple(seen),
        tuple(feeds),
        tuple(f"{p.name} {p.dtype}{list(next(iter(feeds.values()))[p.name].shape)}" for p in a.inputs),
        worst,
        judged,
        unbounded,
        tuple(dict.fromkeys(problems)),
        tuple(dict.fromkeys(notes)),
        {k: v for k, v in installed().items() if k in ("onnx-triangulate", "numpy", "onnx", "onnxruntime")},
        options.seed,
        time.perf_counter() - started,
        held,
    )


def match(left: Sequence[Port], right: Sequence[Port], what: str, dims: Mapping[str, int], *, strict: bool) -> Match:
    """B's border by A's: by name, else by position among those of one type and shape.

    Raises :class:`UnusableInput` (``strict``) where one has no counterpart.
    """
    names = {p.name: p for p in left}
    found: dict[str, tuple[str, Orientation]] = {}
    how: dict[str, str] = {}
    for port in right:
        other = names.get(port.name)
        way = _way(other, port, dims) if other is not None else None
        if way is not None and other is not None:
            found[port.name] = (other.name, way)
            how[port.name] = f"{safe(port.name)}: {way.says} between A and B" if way != _PLAIN else ""
    rest = [p for p in left if p.name not in {source for source, _ in found.values()}]
    for port in right:
        if port.name in found:
            continue
        ways = [(p, way) for p in rest if (way := _way(p, port, dims)) is not None]
        if not ways:
            if strict:
                raise UnusableInput(
                    f"{what}: B's {safe(_said(port))} has no counterpart in A, which has "
                    f"{', '.join(safe(_said(p)) for p in left) or 'none'}; they must agree in name or in type and shape"
                )
            continue
        other, way = ways[0]
        rest.remove(other)
        found[port.name] = (other.name, way)
        turned = f", {way.says}" if way != _PLAIN else ""
        how[port.name] = f"{safe(port.name)} of B taken for {safe(other.name)} of A by position{turned}"
    if strict and rest and len(left) != len(right):
        notes = ", ".join(safe(_said(p)) for p in rest)
        how["\0left"] = f"{notes} of A only: B does not take it"
    return Match(found, how)


def _said(port: Port) -> str:
    shape = "[...]" if port.shape is None else "[" + ",".join("?" if d is None else str(d) for d in port.shape) + "]"
    return f"{port.name} {port.dtype}{shape}"


def _way(left: Port, right: Port, dims: Mapping[str, int]) -> Orientation | None:
    """How A's value becomes B's, if their declared types and shapes allow it at all."""
    if left.dtype != right.dtype:
        return None
    if left.shape is None or right.shape is None:
        return _PLAIN
    if len(left.shape) != len(right.shape):
        return None
    a, b = (tuple(dims.get(d, d) if isinstance(d, str) else d for d in s) for s in (left.shape, right.shape))
    if _fits(a, b):
        return _PLAIN
    for perm in _LAYOUTS:
        if len(perm) == len(a) and _fits(tuple(a[axis] for axis in perm), b):
            return Orientation(perm=perm)
    return None


def _fits(a: Sequence[int | str | None], b: Sequence[int | str | None]) -> bool:
    return all(x == y or not isinstance(x, int) or not isinstance(y, int) for x, y in zip(a, b, strict=True))


def _lacking(a: Border, b: Border, outputs: Match) -> list[str]:
    taken = {source for source, _ in outputs.found.values()}
    only = [("A", p) for p in a.outputs if p.name not in taken]
    only += [("B", p) for p in b.outputs if p.name not in outputs.found]
    return [f"output {safe(_said(port))} of {side} has no counterpart and was not compared" for side, port in only]


def _fixed(a: Border, b: Border, inputs: Match, dims: Mapping[str, int]) -> list[str]:
    """The sizes that A leaves open and B takes one of only, unless the user asked for that size."""
    said = []
    for name, (source, way) in inputs.found.items():
        one, other = (next(p for p in side.inputs if p.name == n) for side, n in ((a, source), (b, name)))
        if one.shape is None or other.shape is None or way != _PLAIN:
            continue
        for axis, (mine, theirs) in enumerate(zip(one.shape, other.shape, strict=True)):
            if not isinstance(mine, int) and isinstance(theirs, int) and not (mine is not None and mine in dims):
                what = f"{safe(mine)} of" if mine else f"axis {axis} of"
                how = f"--dim {safe(mine)}={theirs}" if mine else "--inputs FILE.npz"
                said.append(
                    f"B takes {what} input {safe(name)} as {theirs} only, which A leaves open; {how} asks for just that"
                )
    return said


def _feeds(a: Border, b: Border, inputs: Match, options: Options) -> dict[str, dict[str, Array]]:
    """Sets of arrays by A's names: the user's own, or random numbers and small integers."""
    if options.inputs is not None:
        return {"user": _given(options.inputs, a)}
    shapes = {p.name: _shape(p, b, inputs, options.dims) for p in a.inputs}
    sets: dict[str, dict[str, Array]] = {kind: {} for kind in KINDS}
    for number, port in enumerate(a.inputs):
        for place, (kind, arrays) in enumerate(sets.items()):
            random = np.random.default_rng([options.seed, number, place])
            arrays[port.name] = _drawn(port, shapes[port.name], random, kind)
    return sets if a.inputs else {"no inputs": {}}


def _drawn(port: Port, shape: tuple[int, ...], random: np.random.Generator, kind: str) -> Array:
    if port.dtype == "bool":
        return random.integers(0, 2, shape).astype(bool)
    if port.dtype.startswith(("int", "uint")) and port.dtype[-1].isdigit():
        low, end = (-WHOLE[kind], WHOLE[kind] + 1) if port.free else (0, max(1, port.below or 2))
        return random.integers(max(low, np.iinfo(port.dtype).min), end, shape).astype(port.dtype)
    if port.dtype not in ("float16", "float32", "float64"):
        raise UnusableInput(f"input {safe(_said(port))}: numbers of this type are not drawn; give --inputs FILE.npz")
    drawn = random.integers(-3, 4, shape) if kind == "integers" else random.uniform(-1, 1, shape)
    return np.asarray(drawn * (LARGE if kind == "large" else 1)).astype(port.dtype)


def _shape(port: Port, b: Border, inputs: Match, dims: Mapping[str, int]) -> tuple[int, ...]:
    """An input's shape as A declares it, completed by ``--dim`` and by what B declares."""
    if port.shape is None:
        raise UnusableInput(f"input {safe(_said(port))}: its rank is not declared; give --inputs FILE.npz")
    shape: list[int | str | None] = [dims.get(d, d) if isinstance(d, str) else d for d in port.shape]
    for name, (source, way) in inputs.found.items():
        other = next(p for p in b.inputs if p.name == name)
        if source == port.name and way == _PLAIN and other.shape is not None:
            theirs = [dims.get(d, d) if isinstance(d, str) else d for d in other.shape]
            shape = [
                t if not isinstance(s, int) and isinstance(t, int) else s for s, t in zip(shape, theirs, strict=True)
            ]
    open_axes = [d for d in shape if not isinstance(d, int)]
    if open_axes:
        named = next((d for d in open_axes if d is not None), None)
        remedy = f"give --dim {safe(named)}=N or --inputs FILE.npz" if named else "give --inputs FILE.npz"
        raise UnusableInput(f"input {safe(_said(port))}: its shape is not settled by the file; {remedy}")
    return tuple(d for d in shape if isinstance(d, int))


def _given(file: Path, a: Border) -> dict[str, Array]:
    """The user's arrays, held strictly to what A declares."""
    who = f"--inputs {safe(file)}"
    try:
        with np.load(file, allow_pickle=False) as archive:
            if not hasattr(archive, "files"):
                raise UnusableInput(f"{who}: holds one array, expected an .npz file of arrays by input name")
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise UnusableInput(f"{who}: no such file, expected an .npz file") from None
    except UnusableInput:
        raise
    except Exception as error:  # numpy, zipfile and zlib each raise their own
        raise UnusableInput(f"{who}: cannot be read as an .npz file: {safe(error)}") from None
    wanted = {p.name: p for p in a.inputs}
    if set(arrays) != set(wanted):
        raise UnusableInput(
            f"{who}: holds {', '.join(map(safe, sorted(arrays))) or 'nothing'}; "
            f"expected {', '.join(safe(_said(p)) for p in a.inputs) or 'nothing'}"
        )
    for name, value in arrays.items():
        port = wanted[name]
        shape = port.shape if port.shape is not None else value.shape
        if value.dtype.name != port.dtype or len(shape) != value.ndim or not _fits(shape, value.shape):
            raise UnusableInput(
                f"{who}: {safe(name)} is {value.dtype}{list(value.shape)}, expected {safe(_said(port))}"
            )
    return arrays


def _saved(arrays: Mapping[str, Array], file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file, **dict(arrays))  # type: ignore[arg-type]  # numpy's stub takes its options for arrays
    return file


def _in_float64(
    workers: Workers,
    left: Path,
    right: Path,
    arrays: Mapping[str, Array],
    inputs: Match,
    outputs: Match,
    folder: Path,
) -> Forced | Failure:
    feeds = _saved(arrays, folder / "left.npz")
    try:
        answer: Any = workers.call(
            WORKER,
            tasks.compare_in_float64,
            left.absolute(),
            right.absolute(),
            feeds,
            dict(inputs.found),
            dict(outputs.found),
        )
    except UnusableInput:
        raise
    except Exception as error:  # float64 conversion refuses some graphs; what it says is the reason
        return Failure("refused", " ".join(str(error).split())[:300])
    assert isinstance(answer, (Forced, Failure))
    return answer


def _replayed(
    workers: Workers, left: Path, right: Path, arrays: Mapping[str, Array], inputs: Match, folder: Path
) -> dict[str, Replayed]:
    turned = {name: way.apply(arrays[source]) for name, (source, way) in inputs.found.items()}
    runs: dict[str, Replayed] = {}
    call: Callable[..., Any] = workers.call
    for side, file, feeds in (("A", left, arrays), ("B", right, turned)):
        saved = _saved(feeds, folder / f"{side}.npz")
        try:
            answer = call(WORKER, tasks.replay_nodes, file.absolute(), side, saved, folder)
        except ValueError as error:  # a graph that cannot be taken apart
            answer = Failure("invalid", str(error))
        runs[side] = Replayed(problem=f"{answer.kind}: {answer.says}") if isinstance(answer, Failure) else answer
    return runs


def _finite(run: Replayed) -> set[str]:
    """The outputs that hold a finite number, or anything that is no float, or nothing at all."""
    arrays = {name: np.load(file, allow_pickle=False) for name, file in run.outputs.items()}
    return {n for n, v in arrays.items() if v.dtype.kind not in "fc" or not v.size or bool(np.isfinite(v).any())}


Room = Callable[[str], "Array | None"]


def _outputs(
    runs: Mapping[str, Replayed], outputs: Match, inputs_how: Mapping[str, str], room: Room, turned: bool
) -> list[ComparedOutput]:
    """The outputs in the graphs' own types, floats within what both may be off by A's own arithmetic.

    ``room(NAME)`` is that of an output of A, asked where the bits are not the same; ``turned`` says that an input
    stands in another order of axes in B, so that an output may as well.
    """
    rows = []
    for name, (source, way) in outputs.found.items():
        matched = "by position" if "by position" in inputs_how.get(name, "") else "by name"
        files = runs["A"].outputs.get(source), runs["B"].outputs.get(name)
        if files[0] is None or files[1] is None:
            rows.append(ComparedOutput(source, name, matched, "missing", 0, problem="one side has no value"))
            continue
        a, b = (np.load(file, allow_pickle=False) for file in files if file is not None)
        with contextlib.suppress(ValueError):  # shapes that do not fit are the comparer's to report
            a = way.apply(a)
        seen = compare({name: a}, {name: b}, {})
        outcome: str = seen.outcome
        says = seen.problem
        if outcome == "missing" and seen.compared:  # no bound was given: both are floats, and apart
            allowed = room(source)
            if allowed is None:
                outcome = "unbounded"
            else:
                allowed = 2 * way.apply(allowed) * (2.0**-29 if a.dtype == np.float64 else 1)  # from u of float32
                seen = compare({name: a}, {name: b}, {name: allowed}, zero_sign_open=True)
                outcome, says = seen.outcome, None
                if outcome == "diverges":
                    far = "and A rounds nothing there" if not math.isfinite(seen.ratio or 0) else ""
                    far = far or f"{seen.ratio:.3g} times what roundings inside of A can do"
                    says = f"{safe(name)} is apart by {seen.max_abs:.3g} in the graphs' own types, {far}"
        if outcome == "diverges" and says is None and seen.values is not None:
            says = f"{safe(name)} is {seen.values[0]:g} in A and {seen.values[1]:g} in B, in the graphs' own types"
        if way.perm is not None and not turned and outcome != "missing":
            outcome = "diverges"
            says = f"{safe(name)} of B has the {way.says} of A's, while every input stands as A's does"
        rows.append(ComparedOutput(source, name, matched, outcome, seen.compared, seen.max_abs, says))  # type: ignore[arg-type]
    return rows


def _room(workers: Workers, left: Path, right: Path, folder: Path, name: str) -> Array | None:
    """How far an output of A may be off in float32, in A's order of axes; None where nobody can say."""
    call: Callable[..., Any] = workers.call
    try:
        also = call(WORKER, tasks.count_roundings, right.absolute(), folder / "B.npz")
        also = also if isinstance(also, int) else 0  # of a fused operator nobody knows: as many as A has
        found = call(WORKER, tasks.float32_room, left.absolute(), folder / "A.npz", (name,), also, folder / "room")
    except ValueError:  # a graph that cannot be taken apart
        return None
    file = found.get(name) if isinstance(found, dict) else None
    return None if file is None else np.asarray(np.load(file, allow_pickle=False))


def _guilty(forced: Forced) -> list[GuiltyNode]:
    return [
        GuiltyNode(
            part.node,
            part.op,
            part.output,
            part.ratio,
            "B",
            part.max_abs,
            part.index,
            part.values,
            part.counterpart,
            part.nodes if len(part.nodes) > 1 else (),
            part.against,
            part.problem,
        )
        for part in forced.guilty
    ]


def dims_of(words: Sequence[str]) -> dict[str, int]:
    """``NAME=N`` as a mapping.  Raises :class:`UnusableInput` for anything else."""
    found = {}
    for word in words:
        name, _, size = word.rpartition("=")
        if not name or not re.fullmatch(r"[0-9]{1,9}", size):
            raise UnusableInput(f"--dim {safe(word)}: expected NAME=N, such as batch=2")
        found[name] = int(size)
    return found
