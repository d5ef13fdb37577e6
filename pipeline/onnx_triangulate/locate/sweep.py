"""What a worker does with the many feeds of ``compare``: runs both graphs on each in their own types, and looks.

Design note.  Evaluating in float64 node by node is dear, running is not.  So both graphs run on every feed that time
allows, and a feed on which their outputs part beyond what float32 usually does to numbers of that size is handed back
with its arrays, to be judged as the first feeds are.  What does not part here has at least been shown.  Where an output
is whole (a class, a flag), most feeds lie far from where it changes: :func:`boundaries` walks from one feed to another
until A's answer changes, and feeds both sides of that place.  What no feed exercised is measured (:func:`silent`): each
constant that structure does not prove is moved, far and by factors, while the same feeds run; if no output ever
answers, any number might stand there, and nothing was learned of it.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx

from onnx_triangulate.diff.equivalence import Proof, Unproved, prove, unmoved
from onnx_triangulate.engines.runtimes import runtimes
from onnx_triangulate.locate.feeds import JUDGED, Feed, Landmarks, ValueInfo, draw
from onnx_triangulate.locate.float32_runs import RUNTIME
from onnx_triangulate.locate.float64_comparison import float64_outputs
from onnx_triangulate.locate.model_interface import read_inlined
from onnx_triangulate.locate.movable import Loosened, loosened
from onnx_triangulate.numerics.compare import is_float, same_values
from onnx_triangulate.onnxgraph.dataflow import Orientation
from onnx_triangulate.onnxgraph.nodes import message
from onnx_triangulate.records import npz
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.runs import Failure

Ways = Mapping[str, tuple[str, Orientation]]
Rule = Literal["nan", "inf", "huge", "exact"]
RowState = Literal["equal", "close", "apart", "refused by A", "refused by B", "not run"]
# Of the largest number of an output, some 64 roundings of float32.  It chooses which further feeds are looked at
# closer, and a bound judges these; what is less is not told from rounding, and the first feeds are judged in float64.
_NOISE = 4e-6
# Of the largest number: 2^14 roundings of float32, more than any that is no jump makes.  It says that two runs part by
# no rounding, of runs that float64 sees part as well; where no bound is known, it leaves the pair uncompared.
APART = 1e-3
_KEPT = 40  # feeds whose arrays are handed back
_ROUNDED = 2.0**-20  # of a number: as far as an exporter that computes it in float32 may be
_SAMPLES = 24  # feeds on which a constant is moved
_FEWEST = 3  # of them, however long one takes
_SLICES = 32  # of a constant, each moved alone
_MOST_WEIGHTS = 1.5 * 2**30  # bytes of a file that is written again
_LAST = 4.0  # times a budget of processor time, by the wall clock
_STEPS = 40
_NEAR = 2e-4  # of the way between two feeds: on both sides of where an answer changes
_WALKS = 6
_DEATHS = 6  # of workers, before their feeds are left
_HANGS = 2  # of these deaths, those that were waited for as long as may be


@dataclass(frozen=True)
class Row:
    """What became of one feed: how far apart the outputs are (``score``), in words, and where its arrays lie.

    ``answers`` are A's whole outputs, each the one number that it holds, or nothing where there are several.
    """

    feed: Feed
    state: RowState
    score: float = 0.0
    message: str = ""
    arrays: Path | None = None
    outputs: tuple[Mapping[str, Path], Mapping[str, Path]] = field(default=({}, {}))
    answers: Mapping[str, str] = field(default_factory=dict)


class _Budget:
    """Processor time of this thread, so that what is left out does not depend on what else the machine does; the wall
    clock is a last stop only."""

    def __init__(self, seconds: float) -> None:
        self._start, self._wall, self._seconds = time.thread_time(), time.monotonic(), seconds

    def spent(self, share: float = 1.0) -> bool:
        limit = share * self._seconds
        return time.thread_time() - self._start > limit or time.monotonic() - self._wall > _LAST * limit


def proof(
    left: Path, right: Path, inputs: Ways, outputs: Ways, sizes: tuple[Mapping[str, tuple[int, ...]], ...] = ()
) -> Proof:
    """What is one by structure; where an input or output is turned, nothing is proved as a whole.

    ``sizes`` are the shapes of A's inputs and of B's, where B takes these and no others.
    """
    plain = {n: s for n, (s, way) in inputs.items() if way == Orientation()}
    ends = {n: s for n, (s, way) in outputs.items() if way == Orientation()}
    models = read_inlined(left), read_inlined(right)
    one, other = [_at_sizes(m, s) for m, s in zip(models, sizes, strict=True)] if sizes else ({}, {})
    return prove(*models, plain, ends, (one, other))


def _at_sizes(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """What a graph computes of sizes and constants alone, at the sizes of its inputs; nothing where it does not run."""
    names = unmoved(model)
    if not names or model.ByteSize() > _MOST_WEIGHTS:
        return {}
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    ends = {o.name for o in model.graph.output}
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in ends)

    def run() -> dict[str, Array]:
        kinds = {i.name: onnx.helper.tensor_dtype_to_np_dtype(i.type.tensor_type.elem_type) for i in model.graph.input}
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "shown.onnx"
            onnx.save(shown, file)
            fed = {name: np.zeros(shape, kinds[name]) for name, shape in shapes.items()}
            made = runtimes()[RUNTIME].open(file)(fed, names)
        return {n: v for n, v in zip(names, made, strict=True) if isinstance(v, np.ndarray) and v.dtype.isbuiltin == 1}

    return _tried(run) or {}


def first_that_runs(
    file: Path, ports: Sequence[ValueInfo], feeds: Sequence[Feed], marks: Landmarks, seed: int
) -> int | str:
    """The first of the feeds that a graph runs on, or what the runtime says of the first."""
    run = _opened(file)
    says = "nothing was tried"
    for number, feed in enumerate(feeds):
        try:
            run(draw(feed, ports, marks, seed))
        except Exception as error:  # a runtime's refusal, whatever its type
            says = message(error) if number == 0 else says
        else:
            return number
    return says


def _tried(run: Callable[..., Any], *arguments: Any) -> Any:
    """What a function gives; None where a runtime refuses, whatever its words."""
    try:
        return run(*arguments)
    except Exception:  # of no common type
        return None


def sweep(
    left: Path,
    right: Path,
    ports: Sequence[ValueInfo],
    feeds: Sequence[Feed],
    marks: Landmarks,
    seed: int,
    inputs: Ways,
    outputs: Ways,
    folder: Path,
    seconds: float,
) -> list[Row]:
    """Both graphs on every feed; those for which no time was left are ``not run``."""
    budget = _Budget(seconds)
    runs = (_opened(left), _opened(right))
    rows: list[Row] = []
    kept = 0
    for number, feed in enumerate(feeds):
        if budget.spent():
            rows.append(Row(feed, "not run"))
            continue
        arrays = draw(feed, ports, marks, seed)
        row = _row(runs, feed, arrays, inputs, outputs, folder / str(number) if kept < _KEPT else None)
        kept += row.arrays is not None
        rows.append(row)
    return rows


def in_parts(
    ask: Callable[[Sequence[Feed], int, float], Any], feeds: Sequence[Feed], seconds: float
) -> tuple[list[Row], list[str]]:
    """A sweep whose feeds may kill the worker: then a part of them at a time.  Also what was not run, in words.

    ``ask(FEEDS, PART, SECONDS)`` gives rows or a :class:`Failure`; each part has its share of ``seconds``.
    """
    rows: list[Row] = []
    lost: list[str] = []
    waiting, deaths, hangs = [list(feeds)], 0, 0
    while waiting:
        some = waiting.pop(0)
        if hangs > _HANGS:
            lost.append(f"{', '.join(dict.fromkeys(f.name for f in some))}: not run, for others before never ended")
            continue
        answer = ask(some, len(rows), seconds * len(some) / max(1, len(feeds)))
        if not isinstance(answer, Failure):
            rows += answer
            continue
        if answer.kind == "refused":  # a file that the runtime does not load: that was said before
            lost.append(f"further feeds: {answer.message}")
            break
        deaths, hangs = deaths + 1, hangs + (answer.kind == "timeout")
        if len(some) == 1 or deaths > _DEATHS or hangs > _HANGS:
            lost.append(f"{', '.join(dict.fromkeys(f.name for f in some))}: the run ended in {answer.kind}")
            continue
        half = len(some) // 2
        waiting = [some[:half], some[half:], *waiting]
    return rows, lost


def _row(
    runs: Sequence[Callable[[Mapping[str, Array]], dict[str, Array]]],
    feed: Feed,
    arrays: Mapping[str, Array],
    inputs: Ways,
    outputs: Ways,
    folder: Path | None,
) -> Row:
    try:
        one = runs[0](arrays)
    except Exception as error:  # a runtime's refusal, whatever its type
        return Row(feed, "refused by A", message=message(error))
    try:
        two = runs[1](_turned(arrays, inputs))
    except Exception as error:
        file = _kept(arrays, folder) if folder is not None else None
        return Row(feed, "refused by B", np.inf, message(error), file)
    score, says = 0.0, ""
    for name, (source, way) in outputs.items():
        if source in one and name in two:
            found = apart(one[source], two[name], way, JUDGED.get(feed.kind))
            if found[0] > score:
                score, says = found[0], f"{name}: {found[1]}"
    if score <= _NOISE:
        open_ = _open(one, two, outputs) if JUDGED.get(feed.kind) == "inf" else ""
        answers = {name: _one_number(value) for name, value in one.items() if value.dtype.kind in "biu"}
        return Row(feed, "close" if score or open_ else "equal", score, open_, answers=answers)
    if folder is None:
        return Row(feed, "apart", score, says)
    files = tuple(_outputs(made, folder, side) for side, made in (("A", one), ("B", two)))
    return Row(feed, "apart", score, says, _kept(arrays, folder), (files[0], files[1]))


def one_answer(proof: Proof, rows: Sequence[Row]) -> dict[str, str]:
    """By name, the outputs of A that no structure proves and that are the same one number on all feeds."""
    seen = {name: {row.answers[name] for row in rows if name in row.answers} for name in proof.open}
    return {name: next(iter(answers)) for name, answers in seen.items() if len(answers) == 1 and "" not in answers}


def _one_number(value: Array) -> str:
    flat = value.reshape(-1)
    return str(flat[0]) if flat.size and bool((flat == flat[0]).all()) else ""


def _open(one: Mapping[str, Array], two: Mapping[str, Array], outputs: Ways) -> str:
    """Where one graph makes a NaN of infinities and the other does not, in words: left open, and said to be."""
    for name, (source, way) in outputs.items():
        if source in one and name in two and np.isinf((found := apart(one[source], two[name], way, None))[0]):
            return f"{name}: {found[1]}"
    return ""


def apart(a: Array, b: Array, way: Orientation, judged: str | None) -> tuple[float, str]:
    """How far two outputs are apart, of the largest number of A's; infinity where that is no question of how far."""
    try:
        a = way.apply(a)
    except ValueError:
        return np.inf, f"shape {list(b.shape)} where A has {list(a.shape)}"
    if a.shape != b.shape or a.dtype != b.dtype:
        return np.inf, f"{b.dtype}{list(b.shape)} where A has {a.dtype}{list(a.shape)}"
    if not is_float(a):
        same = np.asarray(a == b)
        if same.all():
            return 0.0, ""
        return np.inf, _at(a, b, ~same)
    one, two = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(all="ignore"):
        same = (one == two) | (np.isnan(one) & np.isnan(two))
        odd = ~same & ~(np.isfinite(one) & np.isfinite(two))
        if judged == "inf":
            odd &= ~np.isnan(one) & ~np.isnan(two)
        if odd.any():
            return np.inf, _at(a, b, odd)
        far = np.where(same | ~np.isfinite(one) | ~np.isfinite(two), 0.0, np.abs(one - two))
        largest = np.abs(one[np.isfinite(one)]).max(initial=0.0)
        worst = float(far.max(initial=0.0))
        if not worst or judged == "huge":
            return 0.0, ""
        unit = {1: 2.0**14, 2: 2.0**14, 4: 1.0, 8: 1.0}[a.dtype.itemsize]
        return worst / (largest * unit) if largest else np.inf, _at(a, b, far == worst)


def _at(a: Array, b: Array, where: Array) -> str:
    index = tuple(int(i) for i in np.argwhere(where)[0]) if a.ndim else ()
    return (
        f"A has {a[index]:.6g} and B {b[index]:.6g} at [{','.join(map(str, index))}]"
        if a.dtype.kind in "fiu"
        else (f"A has {a[index]} and B {b[index]} at [{','.join(map(str, index))}]")
    )


def _turned(arrays: Mapping[str, Array], inputs: Ways) -> dict[str, Array]:
    return {name: np.require(way.apply(arrays[source]), requirements="C") for name, (source, way) in inputs.items()}


def _kept(arrays: Mapping[str, Array], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    npz.save(folder / "arrays.npz", arrays)
    return folder / "arrays.npz"


def _outputs(made: Mapping[str, Array], folder: Path, side: str) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for number, (name, value) in enumerate(made.items()):
        files[name] = folder / f"{side}-{number}.npy"
        bits = f"u{value.dtype.itemsize}"  # a type that numpy lacks (float8) has no file of its own
        np.save(files[name], value.view(bits) if value.dtype.isbuiltin == 2 else value, allow_pickle=False)
    return files


@lru_cache(maxsize=2)
def _opened(file: Path) -> Callable[[Mapping[str, Array]], dict[str, Array]]:
    """A graph as the runtime runs it, all of its outputs by name.  Raises what the runtime refuses with."""
    names = list(dict.fromkeys(o.name for o in read_inlined(file).graph.output))
    run = runtimes()[RUNTIME].open(file)
    return lambda arrays: dict(zip(names, map(np.asarray, run(arrays, names)), strict=True))


def confirmed(left: Path, right: Path, row: Row, inputs: Ways, outputs: Ways, judged: Rule) -> str:
    """Whether what parts on a feed of a special kind is a matter of the graphs and not of kernels or overflow.

    NaN and infinities: the float64 values of the two part in the same way.  Huge numbers: one graph's run is finite
    where its float64 value is, and the other's is not where its own is.  Exact: what parts is what each side gives in
    float64, so that no rounding made one of them jump.  Empty where it is none, else in words.
    """
    assert row.arrays is not None
    given = npz.load(row.arrays)
    exact = float64_outputs(left, given), float64_outputs(right, _turned(given, inputs))
    for name, (source, way) in outputs.items():
        if source not in exact[0] or name not in exact[1] or source not in row.outputs[0] or name not in row.outputs[1]:
            continue
        a, b = way.apply(exact[0][source]), exact[1][name]
        one = way.apply(np.load(row.outputs[0][source], allow_pickle=False))
        two = np.load(row.outputs[1][name], allow_pickle=False)
        if len({x.shape for x in (a, b, one, two)}) > 1:
            return f"{name}: {row.message.partition(': ')[2]}"
        where = _odd(one, two, judged)
        if judged == "huge":
            if one.dtype.kind != "f":
                continue
            with np.errstate(all="ignore"):
                held = [np.isfinite(v) == np.isfinite(w.astype(v.dtype)) for v, w in ((one, a), (two, b))]
            where = np.isfinite(one) != np.isfinite(two)
            if one.dtype != np.float64:  # where nothing longer says whose doing it is, either's counts
                where &= held[0] != held[1]
        elif judged == "exact":
            where &= ~_odd(one, a, judged) & ~_odd(two, b, judged)
        else:
            where &= _odd(a, b, judged)
        if where.any():
            return f"{name}: {_at(one, two, where)}"
    return ""


def overflowed(
    left: Path,
    right: Path,
    feed: Feed,
    ports: Sequence[ValueInfo],
    marks: Landmarks,
    seed: int,
    inputs: Ways,
    outputs: Ways,
) -> str:
    """Where one graph's values are finite and the other's are not if every node rounds to its own type, in words."""
    given = draw(feed, ports, marks, seed)
    one, two = float64_outputs(left, given), float64_outputs(right, _turned(given, inputs))
    for name, (source, way) in outputs.items():
        if source in one and name in two and one[source].dtype.kind == two[name].dtype.kind == "f":
            a, b = way.apply(one[source]), two[name]
            odd = np.isfinite(a) != np.isfinite(b) if a.shape == b.shape else np.zeros((), bool)
            if odd.any():
                return f"{name}: {_at(a, b, odd)}"
    return ""


def _odd(a: Array, b: Array, judged: str) -> Array:
    """Where two arrays part by more than any rounding; where infinities went in, an infinity less another is open."""
    if a.dtype.kind != "f":
        return np.asarray(a != b)
    size = np.abs(a[np.isfinite(a)]).max(initial=0.0)
    nans = np.isnan(a) | np.isnan(b)
    with np.errstate(all="ignore"):
        far = ~nans & (a != b) & ~(np.abs(a - b) <= APART * size)
    return np.asarray(far | (np.isnan(a) != np.isnan(b)) if judged != "inf" else far)


def boundaries(
    left: Path,
    right: Path,
    ports: Sequence[ValueInfo],
    feeds: Sequence[Feed],
    marks: Landmarks,
    seed: int,
    inputs: Ways,
    outputs: Ways,
    folder: Path,
    seconds: float,
) -> tuple[int, list[Row]]:
    """How often a whole output of A was seen to change between two feeds, and the places where B's does not.

    Float inputs are moved on the straight line between two feeds until the answer changes; everything else stays.
    """
    budget = _Budget(seconds)
    runs = (_opened(left), _opened(right))
    floats = [p.name for p in ports if p.dtype.startswith("float")]
    drawn = [draw(feed, ports, marks, seed) for feed in feeds]
    found: list[Row] = []
    seen = 0
    for first, second in itertools.combinations(range(len(drawn)), 2):
        if not floats or seen >= _WALKS or budget.spent():
            break
        one, two = drawn[first], {**drawn[first], **{n: drawn[second][n] for n in floats}}
        if any(one[n].shape != two[n].shape for n in floats):
            continue
        place = _tried(_walk, runs[0], one, two, floats)
        if place is None:
            continue
        seen += 1
        for step in (-_NEAR, _NEAR):
            arrays = _between(one, two, floats, place + step)
            row = _row(runs, Feed("where an answer changes", feeds[first].shapes, seen), arrays, inputs, outputs,
                       folder / f"walk-{seen}{step:+}")  # fmt: skip
            if row.state in ("apart", "refused by B"):
                found.append(row)
    return seen, found


def _between(
    one: Mapping[str, Array], two: Mapping[str, Array], floats: Sequence[str], place: float
) -> dict[str, Array]:
    with np.errstate(all="ignore"):
        return {
            **one,
            **{n: np.asarray((1 - place) * one[n] + place * two[n]).astype(one[n].dtype) for n in floats},
        }


def _walk(
    run: Callable[[Mapping[str, Array]], dict[str, Array]],
    one: Mapping[str, Array],
    two: Mapping[str, Array],
    floats: Sequence[str],
) -> float | None:
    """Where between two feeds a whole output changes; None where it is the same at both."""

    def answer(place: float) -> dict[str, Array]:
        return {n: v for n, v in run(_between(one, two, floats, place)).items() if v.dtype.kind in "biu"}

    start, end = answer(0.0), answer(1.0)
    if not start or _alike(start, end):
        return None
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _alike(answer(middle), start):
            low = middle
        else:
            high = middle
    return high


def _alike(one: Mapping[str, Array], two: Mapping[str, Array]) -> bool:
    return all(np.array_equal(one[n], two[n]) for n in one)


def silent(
    file: Path,
    side: Literal["A", "B"],
    unproved: Unproved,
    ports: Sequence[ValueInfo],
    feeds: Sequence[Feed],
    marks: Landmarks,
    seed: int,
    inputs: Ways,
    folder: Path,
    seconds: float,
    against: bool = False,
) -> tuple[list[str], list[str]]:
    """What of a graph no feed exercised or nobody measured, in words; and what was measured as a whole only, or is a
    limit that no size reaches, where the other graph has none (else, ``against``, two may be two)."""
    if not unproved.constants and not unproved.conditions and not unproved.inside:
        return [], []
    budget = _Budget(seconds)
    opened = _loose(file, unproved, folder / f"loose-{side}.onnx")
    if opened is None:
        names = [*unproved.constants, *(name for name, _ in unproved.conditions), *(p.says for p in unproved.inside)]
        return [f"{_listed(names)} of {side}: not measured, the graph cannot be run with them open"], []
    run, loose, watched = opened
    values = loose.constants
    usual: list[tuple[Mapping[str, Array], Mapping[str, Array]]] = []
    seen: dict[str, set[bool]] = {name: set() for name in watched}
    for feed in feeds:
        arrays = draw(feed, ports, marks, seed)
        arrays = arrays if side == "A" else _turned(arrays, inputs)
        made = _tried(run, arrays, {})
        if made is None:
            continue
        for name in watched:
            seen[name].update(bool(v) for v in np.unique(made[name]))
        if len(usual) < _SAMPLES:
            usual.append((arrays, made))
        if len(usual) >= _FEWEST and budget.spent(0.25):
            break
    said = [
        f"{name} ({node}) of {side} is never {'false' if True in seen[name] else 'true'}: no feed shows a branch"
        for name, node in unproved.conditions
        if len(seen.get(name, {True, False})) < 2
    ]
    said += [f"{within} of {side}: not measured, its type is none that is moved" for within in loose.stiff]
    moved = _Budget(seconds)
    every = {**dict.fromkeys(unproved.constants, ""), **loose.lifted}
    shown = {name: says or name for name, says in every.items()}
    there = [name for name in every if name in values]
    left = [shown[name] for name in every if name not in values]
    live = []
    late: list[str] = []
    for within, others in loose.moves.items():
        if moved.spent():
            left.append(within)
        elif not _answers(run, usual, others):
            said.append(f"{within} of {side}: no feed shows it")
    for name in there:  # each as a whole, before any by its parts
        if moved.spent():
            left.append(shown[name])
        elif any(_answers(run, usual, {name: other}) for other in _moves(values[name], None)):
            live.append(name)
            if name in unproved.limits:
                late += _unreached(run, usual, name, values[name], side)
        elif values[name].dtype.kind in "iu":  # a size that cannot be had says nothing against a limit
            (said if against else late).append(_limit(name, side, values[name]))
        else:
            said.append(any_number(shown[name], side))
    coarse = []
    for name in live:
        quiet = 0
        parts = list(_slices(values[name]))
        for part in parts:
            if budget.spent():
                coarse.append(shown[name])
                break
            quiet += not any(_answers(run, usual, {name: other}) for other in _moves(values[name], part))
        if quiet:
            said.append(
                f"{shown[name]} of {side}: {quiet} of {len(parts)} of its numbers could be any: no feed shows it"
            )
    if left:
        said.append(f"{_listed(left)} of {side} are not the other's, and no time was left to move them")
    if coarse:
        late.append(f"the rows of {_listed(coarse)} of {side} were not all moved, one by one: no time was left")
    return said, late


def few_others(left: Path, right: Path, proof: Proof) -> list[str]:
    """The stored constants of B of which some numbers are not those of A's one constant of that shape, in words.

    Where all are others the two may hold them in other places; what rounding makes of a number is none.
    """
    held = []
    for file, unproved in ((left, proof.left), (right, proof.right)):
        stored = {t.name: t for t in read_inlined(file).graph.initializer}
        held.append({n: np.asarray(onnx.numpy_helper.to_array(stored[n])) for n in unproved.constants if n in stored})
    said = []
    for name, mine in held[1].items():
        alike = [v for v in held[0].values() if (v.shape, v.dtype) == (mine.shape, mine.dtype)]
        if len(alike) != 1 or mine.dtype.kind not in "fiu":
            continue
        wide, due = mine.astype(np.float64), alike[0].astype(np.float64)
        odd = int((np.abs(wide - due) > _ROUNDED * np.abs(due)).sum())
        if 0 < odd < mine.size:
            said.append(f"{odd:,} of {mine.size:,} numbers of {name} are not those of a fresh export")
    return said


def _unreached(
    run: Loose, usual: Sequence[tuple[Mapping[str, Array], Mapping[str, Array]]], name: str, held: Array, side: str
) -> list[str]:
    """A limit that nothing reached, in words: it may be moved away from the numbers that were fed, as far as one likes,
    and no output answers."""
    number = float(held.reshape(-1)[0])
    for way in (1.0, -1.0):
        moved = [number + way * step * max(1.0, abs(number)) for step in (1.0, 1e3)]
        if not any(_answers(run, usual, {name: _filled(held, other)}) for other in moved):
            return [_limit(name, side, held)]
    return []


def _limit(name: str, side: str, held: Array) -> str:
    return f"the limit {name} = {held.reshape(-1)[0]:g} of {side}: nothing that was fed reaches it"


def _filled(held: Array, number: float) -> Array:
    """A constant with another number, as far as its type holds that."""
    if held.dtype.kind in "iu":
        bounds = np.iinfo(held.dtype)
        number = min(max(round(number), bounds.min), bounds.max)
    return np.full(held.shape, number, held.dtype)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} others"


def any_number(name: str, side: str) -> str:
    """What is said of a constant that no feed shows as a whole."""
    return f"{name} of {side} could be any number: no feed shows it"


Loose = Callable[[Mapping[str, Array], Mapping[str, Array]], dict[str, Array]]


def _loose(file: Path, unproved: Unproved, saved: Path) -> tuple[Loose, Loosened, list[str]] | None:
    """The graph with its unproved parts to be moved, and its conditions shown."""
    model = read_inlined(file)
    if model.ByteSize() > _MOST_WEIGHTS:
        return None
    ends = {o.name for o in model.graph.output}
    watched = [name for name, _ in unproved.conditions]
    made = loosened(model, unproved)
    onnx.save(made.model, saved)
    names = [*ends, *(n for n in dict.fromkeys(watched) if n not in ends)]
    opened = _tried(runtimes()[RUNTIME].open, saved)
    if opened is None:
        return None

    def run(arrays: Mapping[str, Array], moved: Mapping[str, Array]) -> dict[str, Array]:
        return dict(zip(names, map(np.asarray, opened({**arrays, **moved}, names)), strict=True))

    return run, made, watched


def _answers(
    run: Loose, usual: Sequence[tuple[Mapping[str, Array], Mapping[str, Array]]], moved: Mapping[str, Array]
) -> bool:
    """Whether any output is another one on any feed when a constant is."""
    for arrays, made in usual:
        try:
            now = run(arrays, moved)
        except Exception:  # another number, another refusal: it is read
            return True
        for name, value in made.items():
            held = now[name]
            if not same_values(held, value):
                return True
    return False


def _moves(held: Array, part: tuple[int, int] | None) -> Iterator[Array]:
    """A constant moved, whole or one row of an axis: by factors, and by steps from which no small number hides."""
    size = float(np.abs(held[np.isfinite(held)]).max(initial=0.0)) or 1.0
    for factor, step in ((1.25, 0.01 * size), (0.5, -0.02 * size), (2.0, 1.0), (0.75, -1.0)):
        with np.errstate(all="ignore"):
            moved = np.asarray(held * factor + step).astype(held.dtype)
            if held.dtype.kind in "iu":  # a whole number moves by one at least
                moved = np.where(moved == held, held + np.array(1 if step > 0 else -1, held.dtype), moved)
        if part is None:
            yield moved
            continue
        axis, index = part
        row = held.copy()
        at = (slice(None),) * axis + (index,)
        row[at] = moved[at]
        yield row


def _slices(held: Array) -> Iterator[tuple[int, int]]:
    """The rows of a constant along its longest axes, a few of them."""
    for axis in dict.fromkeys((0, held.ndim - 1) if held.ndim else ()):
        count = held.shape[axis]
        if count > 1:
            yield from ((axis, int(i)) for i in np.unique(np.linspace(0, count - 1, min(count, _SLICES)).astype(int)))
