"""What of a graph no feed exercised: constants, conditions and inner graphs that could be others, and nothing shows it.

Design note.  Each constant that structure does not prove is moved, far and by factors, while the same feeds run in the
graph's own types; if no output ever answers, any number might stand there, and nothing was learned of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import onnx

from onnx_triangulate.diff.equivalence import Proof, StructuralGap
from onnx_triangulate.locate.feeds import Feed
from onnx_triangulate.locate.float32_runs import GraphRun, opened, output_names
from onnx_triangulate.locate.graph_pair import MOST_WEIGHTS, GraphPair
from onnx_triangulate.locate.model_interface import read_inlined
from onnx_triangulate.locate.perturbation_inputs import PerturbableGraph, perturbable
from onnx_triangulate.locate.sweep import Budget, tried
from onnx_triangulate.numerics.compare import same_values
from onnx_triangulate.records.arrays import Array

_ROUNDED = 2.0**-20  # of a number: as far as an exporter that computes it in float32 may be
_SAMPLES = 24  # feeds on which a constant is moved
_FEWEST = 3  # of them, however long one takes
_SLICES = 32  # of a constant, each moved alone


@dataclass
class _PerturbableRun:
    """A graph whose unproved parts may be moved, on a few feeds: what it made of each, and what every one of its
    conditions was on them."""

    side: Literal["A", "B"]
    unproved: StructuralGap
    run: GraphRun
    made: PerturbableGraph
    samples: list[tuple[Mapping[str, Array], Mapping[str, Array]]] = field(default_factory=list)
    conditions: dict[str, set[bool]] = field(default_factory=dict)

    def answers(self, moved: Mapping[str, Array]) -> bool:
        """Whether any output is another one on any feed when a constant is."""
        for arrays, made in self.samples:
            now = tried(self.run, {**arrays, **moved})  # another number, another refusal: it is read
            if now is None or any(not same_values(np.asarray(now[name]), value) for name, value in made.items()):
                return True
        return False

    @property
    def shown(self) -> dict[str, str]:
        """The constants that are unproved, those of inner graphs too, each as it is called in reports."""
        return {**{name: name for name in self.unproved.constants}, **self.made.lifted}

    def never_taken(self) -> list[str]:
        """The branches that no feed takes, in words."""
        return [
            f"{name} ({node}) of {self.side} is never {'false' if True in self.conditions[name] else 'true'}: "
            "no feed shows a branch"
            for name, node in self.unproved.conditions
            if len(self.conditions.get(name, {True, False})) < 2
        ]


def find_unexercised(
    pair: GraphPair,
    side: Literal["A", "B"],
    unproved: StructuralGap,
    feeds: Sequence[Feed],
    folder: Path,
    seconds: float,
    against: bool = False,
) -> tuple[list[str], list[str]]:
    """What of a graph no feed exercised or nobody measured, in words; and what was measured as a whole only, or is a
    limit that no size reaches, where the other graph has none (else, ``against``, two may be two)."""
    if not unproved.constants and not unproved.conditions and not unproved.inside:
        return [], []
    budget = Budget(seconds)
    graph = _perturbable_run(pair, side, unproved, folder / f"perturbable-{side}.onnx")
    if graph is None:
        names = [*unproved.constants, *(name for name, _ in unproved.conditions), *(p.says for p in unproved.inside)]
        return [f"{_listed(names)} of {side}: not measured, the graph cannot be run with them open"], []
    _sample(graph, pair, feeds, budget)
    found = _Measured(graph.never_taken())
    found.said += [f"{each} of {side}: not measured, its type is none that is moved" for each in graph.made.immovable]
    _move_as_wholes(graph, found, Budget(seconds), against)
    _move_rows(graph, found, budget)
    return found.said, found.late


@dataclass
class _Measured:
    """What no feed showed (``said``), what says little against a graph (``late``), and the constants that answer as a
    whole (``live``)."""

    said: list[str]
    late: list[str] = field(default_factory=list)
    live: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def _move_as_wholes(graph: _PerturbableRun, found: _Measured, moving: Budget, against: bool) -> None:
    """Move each part of a graph as a whole, before any by its rows."""
    side, shown, constants = graph.side, graph.shown, graph.made.constants
    found.left += [says for name, says in shown.items() if name not in constants]
    for within, others in graph.made.moves.items():
        if moving.spent():
            found.left.append(within)
        elif not graph.answers(others):
            found.said.append(f"{within} of {side}: no feed shows it")
    for name in (name for name in shown if name in constants):
        held = constants[name]
        if moving.spent():
            found.left.append(shown[name])
        elif any(graph.answers({name: other}) for other in _moves(held, None)):
            found.live.append(name)
            found.late += _unreached(graph, name, held) if name in graph.unproved.limits else []
        elif held.dtype.kind in "iu":  # a size that cannot be had says nothing against a limit
            (found.said if against else found.late).append(_limit(name, side, held))
        else:
            found.said.append(any_number(shown[name], side))


def _sample(graph: _PerturbableRun, pair: GraphPair, feeds: Sequence[Feed], budget: Budget) -> None:
    """Run a graph as it stands on feeds, the first of which are kept."""
    for feed in feeds:
        arrays = pair.draw(feed)
        arrays = arrays if graph.side == "A" else pair.for_b(arrays)
        answer = tried(graph.run, arrays)
        if answer is None:
            continue
        made = {name: np.asarray(value) for name, value in answer.items()}
        for name, truths in graph.conditions.items():
            truths.update(bool(v) for v in np.unique(made[name]))
        if len(graph.samples) < _SAMPLES:
            graph.samples.append((arrays, made))
        if len(graph.samples) >= _FEWEST and budget.spent(0.25):
            break


def _move_rows(graph: _PerturbableRun, found: _Measured, budget: Budget) -> None:
    """Move the rows of the constants that answer as a whole, one by one."""
    coarse = []
    for name in found.live:
        held, quiet = graph.made.constants[name], 0
        parts = list(_slices(held))
        for part in parts:
            if budget.spent():
                coarse.append(graph.shown[name])
                break
            quiet += not any(graph.answers({name: other}) for other in _moves(held, part))
        if quiet:
            says = f"{quiet} of {len(parts)} of its numbers could be any: no feed shows it"
            found.said.append(f"{graph.shown[name]} of {graph.side}: {says}")
    if found.left:
        listed = _listed(found.left)
        found.said.append(f"{listed} of {graph.side} are not the other's, and no time was left to move them")
    if coarse:
        listed = _listed(coarse)
        found.late.append(f"the rows of {listed} of {graph.side} were not all moved, one by one: no time was left")


def few_others(pair: GraphPair, proof: Proof) -> list[str]:
    """The stored constants of B of which some numbers are not those of A's one constant of that shape, in words.

    Where all are others the two may hold them in other places; what rounding makes of a number is none.
    """
    held = []
    for file, unproved in ((pair.left, proof.left), (pair.right, proof.right)):
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


def _unreached(graph: _PerturbableRun, name: str, held: Array) -> list[str]:
    """A limit that nothing reached, in words: it may be moved away from the numbers that were fed, as far as one likes,
    and no output answers."""
    number = float(held.reshape(-1)[0])
    for way in (1.0, -1.0):
        moved = [number + way * step * max(1.0, abs(number)) for step in (1.0, 1e3)]
        if not any(graph.answers({name: _filled(held, other)}) for other in moved):
            return [_limit(name, graph.side, held)]
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


def _perturbable_run(
    pair: GraphPair, side: Literal["A", "B"], unproved: StructuralGap, saved: Path
) -> _PerturbableRun | None:
    """The graph with its unproved parts to be moved, and its conditions shown; None where it does not run."""
    model = read_inlined(pair.left if side == "A" else pair.right)
    if model.ByteSize() > MOST_WEIGHTS:
        return None
    made = perturbable(model, unproved)
    onnx.save(made.model, saved)
    watched = [name for name, _ in unproved.conditions]
    run = tried(opened, saved, list(dict.fromkeys([*output_names(model), *watched])))
    return (
        None
        if run is None
        else _PerturbableRun(side, unproved, run, made, conditions={name: set() for name in watched})
    )


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
