"""What a worker does with the many feeds of ``compare``: runs both graphs on each in their own types, and looks.

Design note.  Evaluating in float64 node by node is dear, running is not.  So both graphs run on every feed that time
allows, and a feed on which their outputs part beyond what float32 usually does to numbers of that size is handed back
with its arrays, to be judged as the first feeds are.  What does not part here has at least been shown.  Where an output
is whole (a class, a flag), most feeds lie far from where it changes: :func:`boundaries` walks from one feed to another
until A's answer changes, and feeds both sides of that place.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from onnx_triangulate.diff.equivalence import Proof
from onnx_triangulate.locate.feeds import JUDGED, Feed
from onnx_triangulate.locate.float32_runs import GraphRun, opened, output_names, save_outputs
from onnx_triangulate.locate.graph_pair import GraphPair
from onnx_triangulate.locate.model_interface import read_inlined
from onnx_triangulate.numerics.compare import equal_elements, is_float
from onnx_triangulate.onnxgraph.dataflow import Orientation
from onnx_triangulate.onnxgraph.nodes import message
from onnx_triangulate.records import npz
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.runs import Failure

Rule = Literal["nan", "inf", "huge", "exact"]
RowState = Literal["equal", "close", "apart", "refused by A", "refused by B", "not run"]
# Of the largest number of an output, some 64 roundings of float32.  It chooses which further feeds are looked at
# closer, and a bound judges these; what is less is not told from rounding, and the first feeds are judged in float64.
_NOISE = 4e-6
# Of the largest number: 2^14 roundings of float32, more than any that is no jump makes.  It says that two runs part by
# no rounding, of runs that float64 sees part as well; where no bound is known, it leaves the pair uncompared.
APART = 1e-3
_KEPT = 40  # feeds whose arrays are handed back
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


class Budget:
    """Processor time of this thread, so that what is left out does not depend on what else the machine does; the wall
    clock is a last stop only."""

    def __init__(self, seconds: float) -> None:
        self._start, self._wall, self._seconds = time.thread_time(), time.monotonic(), seconds

    def spent(self, share: float = 1.0) -> bool:
        limit = share * self._seconds
        return time.thread_time() - self._start > limit or time.monotonic() - self._wall > _LAST * limit


def first_that_runs(pair: GraphPair, feeds: Sequence[Feed]) -> int | str:
    """The number of the first feed that A runs on, or what the runtime says of the first."""
    run = _run_of(pair.left)
    says = "nothing was tried"
    for number, feed in enumerate(feeds):
        try:
            run(pair.draw(feed))
        except Exception as error:  # a runtime's refusal, whatever its type
            says = message(error) if number == 0 else says
        else:
            return number
    return says


def tried(run: Callable[..., Any], *arguments: Any) -> Any:
    """What a function gives; None where a runtime refuses, whatever its words."""
    try:
        return run(*arguments)
    except Exception:  # of no common type
        return None


def sweep(pair: GraphPair, feeds: Sequence[Feed], folder: Path, seconds: float) -> list[Row]:
    """Both graphs on every feed; those for which no time was left are ``not run``."""
    budget = Budget(seconds)
    runs = (_run_of(pair.left), _run_of(pair.right))
    rows: list[Row] = []
    kept = 0
    for number, feed in enumerate(feeds):
        if budget.spent():
            rows.append(Row(feed, "not run"))
            continue
        row = _row(pair, runs, feed, pair.draw(feed), folder / str(number) if kept < _KEPT else None)
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
    pair: GraphPair, runs: Sequence[GraphRun], feed: Feed, arrays: Mapping[str, Array], folder: Path | None
) -> Row:
    try:
        one = runs[0](arrays)
    except Exception as error:  # a runtime's refusal, whatever its type
        return Row(feed, "refused by A", message=message(error))
    try:
        two = runs[1](pair.for_b(arrays))
    except Exception as error:
        file = _kept(arrays, folder) if folder is not None else None
        return Row(feed, "refused by B", np.inf, message(error), file)
    rule = JUDGED.get(feed.kind)
    found = {name: apart(one[a], two[name], way, rule) for name, a, way in both(pair, one, two)}
    worst = max(found, key=lambda name: found[name][0], default="")
    score = found[worst][0] if worst else 0.0
    if score <= _NOISE:
        open_ = _open(pair, one, two) if rule == "inf" else ""
        answers = {name: _one_number(value) for name, value in one.items() if value.dtype.kind in "biu"}
        return Row(feed, "close" if score or open_ else "equal", score, open_, answers=answers)
    says = f"{worst}: {found[worst][1]}"
    if folder is None:
        return Row(feed, "apart", score, says)
    files = save_outputs(one, folder, "A"), save_outputs(two, folder, "B")
    return Row(feed, "apart", score, says, _kept(arrays, folder), files)


def both(pair: GraphPair, one: Mapping[str, Array], two: Mapping[str, Array]) -> Iterator[tuple[str, str, Orientation]]:
    """The outputs that both graphs gave: B's name, A's, and the way between them."""
    return ((n, source, way) for n, (source, way) in pair.outputs.items() if source in one and n in two)


def one_answer(proof: Proof, rows: Sequence[Row]) -> dict[str, str]:
    """By name, the outputs of A that no structure proves and that are the same one number on all feeds."""
    seen = {name: {row.answers[name] for row in rows if name in row.answers} for name in proof.open}
    return {name: next(iter(answers)) for name, answers in seen.items() if len(answers) == 1 and "" not in answers}


def _one_number(value: Array) -> str:
    flat = value.reshape(-1)
    return str(flat[0]) if flat.size and bool((flat == flat[0]).all()) else ""


def _open(pair: GraphPair, one: Mapping[str, Array], two: Mapping[str, Array]) -> str:
    """Where one graph makes a NaN of infinities and the other does not, in words: left open, and said to be."""
    for name, source, way in both(pair, one, two):
        found = apart(one[source], two[name], way, None)
        if np.isinf(found[0]):
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
        return np.inf, at_element(a, b, ~same)
    one, two = a.astype(np.float64), b.astype(np.float64)
    same = equal_elements(one, two)
    with np.errstate(all="ignore"):
        odd = ~same & ~(np.isfinite(one) & np.isfinite(two))
        if judged == "inf":
            odd &= ~np.isnan(one) & ~np.isnan(two)
        if odd.any():
            return np.inf, at_element(a, b, odd)
        far = np.where(same | ~np.isfinite(one) | ~np.isfinite(two), 0.0, np.abs(one - two))
        largest = np.abs(one[np.isfinite(one)]).max(initial=0.0)
        worst = float(far.max(initial=0.0))
        if not worst or judged == "huge":
            return 0.0, ""
        unit = {1: 2.0**14, 2: 2.0**14, 4: 1.0, 8: 1.0}[a.dtype.itemsize]
        return worst / (largest * unit) if largest else np.inf, at_element(a, b, far == worst)


def at_element(a: Array, b: Array, where: Array) -> str:
    index = tuple(int(i) for i in np.argwhere(where)[0]) if a.ndim else ()
    due, made = (f"{v[index]:.6g}" if a.dtype.kind in "fiu" else str(v[index]) for v in (a, b))
    return f"A has {due} and B {made} at [{','.join(map(str, index))}]"


def _kept(arrays: Mapping[str, Array], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    npz.save(folder / "arrays.npz", arrays)
    return folder / "arrays.npz"


@lru_cache(maxsize=2)
def _run_of(file: Path) -> GraphRun:
    """A graph as the runtime runs it, all of its outputs by name.  Raises what the runtime refuses with."""
    run = opened(file, output_names(read_inlined(file)))
    return lambda arrays: {name: np.asarray(value) for name, value in run(arrays).items()}


def boundaries(pair: GraphPair, feeds: Sequence[Feed], folder: Path, seconds: float) -> tuple[int, list[Row]]:
    """How often a whole output of A was seen to change between two feeds, and the places where B's does not.

    Float inputs are moved on the straight line between two feeds until the answer changes; everything else stays.
    """
    budget = Budget(seconds)
    runs = (_run_of(pair.left), _run_of(pair.right))
    floats = [p.name for p in pair.ports if p.dtype.startswith("float")]
    drawn = [pair.draw(feed) for feed in feeds]
    found: list[Row] = []
    seen = 0
    for first, second in itertools.combinations(range(len(drawn)), 2):
        if not floats or seen >= _WALKS or budget.spent():
            break
        one, two = drawn[first], {**drawn[first], **{n: drawn[second][n] for n in floats}}
        if any(one[n].shape != two[n].shape for n in floats):
            continue
        place = tried(_walk, runs[0], one, two, floats)
        if place is None:
            continue
        seen += 1
        feed = Feed("where an answer changes", feeds[first].shapes, seen)
        for step in (-_NEAR, _NEAR):
            arrays = _between(one, two, floats, place + step)
            row = _row(pair, runs, feed, arrays, folder / f"walk-{seen}{step:+}")
            if row.state in ("apart", "refused by B"):
                found.append(row)
    return seen, found


def _between(
    one: Mapping[str, Array], two: Mapping[str, Array], floats: Sequence[str], place: float
) -> dict[str, Array]:
    with np.errstate(all="ignore"):
        moved = {n: np.asarray((1 - place) * one[n] + place * two[n]).astype(one[n].dtype) for n in floats}
    return {**one, **moved}


def _walk(run: GraphRun, one: Mapping[str, Array], two: Mapping[str, Array], floats: Sequence[str]) -> float | None:
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
