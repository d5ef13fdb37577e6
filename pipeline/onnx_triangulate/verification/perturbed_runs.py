"""How far a framework may be from itself: its bounds, derived by moving what it is fed and what it rounds.

Design note.  Where a case gives no definition, the framework itself is one, in float64 where it has that, and nobody
says how far float32 may be from it.  So the program is run again and again with its inputs and weights moved by one
rounding, and with the results of its own operators moved (``records.runs.Jitter``); the largest responses are
the bound.  Nothing that is exported has a part in it: no graph licenses itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from onnx_triangulate.engines.frameworks import adapter
from onnx_triangulate.engines.running import MOST_GUESSED, results_in_case_axes, save, values_of, warm
from onnx_triangulate.numerics.perturbation import (
    BEYOND,
    UNIT,
    at_least_mean,
    distance,
    is_jump,
    largest_responses,
    paired,
)
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.case import Case, CaseRef
from onnx_triangulate.records.errors import one_line
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Bound, Jitter, Roundings, Run
from onnx_triangulate.verification.worker_tasks import scaled_bound

PAIRS = 5  # pairs of draws: of any two of the first 32 things that round, some draw has both push the same way
JITTERS = 16  # sign patterns; the chance that all of 16 miss an element's sensitivity by a factor of 2 is under 1e-6

_OWN_SIZE = 2.0**-40  # of a number: what two orders of float64's operations may make of it
_TINY_STEP = 2.0**-50
_WHOLE = "iub"  # kinds of outputs that are on one side of a jump or on the other


def derive_bounds(
    ref: CaseRef, framework: str, roundings: Roundings | None, source: Run, seed: int, folder: Path
) -> Run:
    """A definition for a case without one: the framework itself, with a bound derived by perturbation.

    ``source`` is the native run to stand for it, in float64 or, where the framework has no float64 for this, in the
    case's own precision.  Two things are moved, and the larger response counts.  Every float input and weight, by one
    unit roundoff of float32 with random signs, :data:`JITTERS` times: the largest response, over u, is a scale to which
    the k roundings on the longest path through the framework's own operators are applied, for a rounding in an operator
    acts like a rounding of what the operator consumed (mixed forward-backward error, Higham 1.5).  And, where it does
    not act so (at the minimum of a GELU, for a Python scalar, for what is made of nothing that is fed), every such
    rounding itself; the true ones are one more such draw, and :data:`BEYOND` times the largest response counts.

    Where a result jumps, the side of the jump that exact inputs come to is part of what the model means: no input is
    moved across, only what the framework itself rounds in front of the jump may be on either side.  An element without
    any response is given the output's mean: one that a Relu holds at zero has none, until rounding carries it over.
    ``roundings`` are those of a graph, for a framework whose own operators nobody sees.
    """
    party = Party("truth", meaning=framework)
    failure = warm(framework)
    if failure or source.outputs is None:
        return Run(party, error=failure or source.error, derived=f"{framework} itself, which has no answer")
    double = source.party.double
    case, values = values_of(ref, framework, seed)
    floats = source.arrays("f")
    wholes = source.arrays(_WHOLE)
    precision = "in float64" if double else "in its own precision, for it has no float64 here"
    label = f"{framework} itself {precision}"
    asked = _Perturbation(case, framework, values, floats, seed, double)
    try:
        response = _input_responses(asked)
        own, inner = replace(asked, floats={**floats, **wholes}).own_roundings()
    except Exception as error:  # whatever the framework raises
        how = f"no bound: its roundings could not be moved ({one_line(error)})"
        return Run(party, outputs=source.outputs, derived=f"{label}; {how}")
    if own is not None and not (own.unknown and roundings is not None and not roundings.unknown):
        roundings = own
    if roundings is None or (unknown := _uncountable(roundings)):
        why = unknown if roundings is not None else "there is no graph of known size to count roundings in"
        return Run(party, outputs=source.outputs, derived=f"{label}; no bound: {why}")
    unmoved = not inner and not _float_fed(case, values)
    if unmoved and (roundings.count or roundings.unknown):  # that there was no response says nothing
        response = {name: moves for name, moves in response.items() if moves.any()}
    count = roundings.count
    scales = asked.scales(response, {name: moves * BEYOND / max(count, 1) for name, moves in inner.items()})
    bounds = {name: scaled_bound(folder, party, name, scale, count) for name, scale in scales.items()}
    bounds |= _on_jumps({name: inner[name] for name in wholes if name in inner}, party, folder)
    how = f"scale from {JITTERS} perturbations, k = {count} roundings on the longest path"
    if roundings.unknown:
        how += f" ({', '.join(roundings.unknown)}: no rule, so one for each number that it may take up)"
    return Run(party, outputs=source.outputs, bounds=bounds, derived=f"{label}; {how}")


def _input_responses(asked: _Perturbation) -> dict[str, Array]:
    """The responses to moved inputs and weights, without those of a jump."""
    response, floats = asked.responses([Jitter(each) for each in range(JITTERS)]), asked.floats
    if not asked.double:  # there is no smaller step: what is so large for one is taken for a jump
        for name, moves in response.items():
            moves[is_jump(moves, floats[name], float(np.finfo(floats[name].dtype).eps))] = 0
    elif any(is_jump(response[name], centre, UNIT).any() for name, centre in floats.items()):
        tiny = asked.responses([Jitter(each, _TINY_STEP) for each in range(JITTERS)])
        response = {name: _without_jumps(moves, tiny[name], floats[name]) for name, moves in response.items()}
    return response


def _uncountable(roundings: Roundings) -> str:
    """Why no bound can be had of a count of roundings, in words; empty where one can."""
    if roundings.unknown and roundings.count > MOST_GUESSED:
        listed = ", ".join(roundings.unknown)
        return f"{listed} without a rule in a model of {roundings.count} numbers would make it meaningless"
    return ""


def constant_rounding_of_source(ref: CaseRef, framework: str, source: Run, seed: int, folder: Path) -> Run:
    """A framework's float64 run with how far a graph may be from it that keeps its constants in float32.

    These are its Python scalars, and whatever no input reaches (tables, windows, what is computed of the parameters
    alone): each is moved by the roundings of the operators that make it, and the true ones are one more such draw.
    Where float64's own roundings answer out of proportion to float32's, they are measured as well.
    """
    if warm(framework) is not None or source.outputs is None:
        return source
    case, values = values_of(ref, framework, seed)
    wholes = source.arrays(_WHOLE)
    asked = _Perturbation(case, framework, values, {**source.arrays("f"), **wholes}, seed, double=True)
    try:
        responses = asked.responses(_paired_draws("constants"))
        steep = _out_of_proportion(replace(asked, floats=source.arrays("f")))
    except Exception as error:  # whatever the framework raises; its float64 run stands as it is
        return unmeasured(source, one_line(error))
    bounds = {
        name: Bound(constant_rounding=save(folder, source.party, name, BEYOND * (moves + steep[name]), kind="slack"))
        for name, moves in responses.items()
        if name not in wholes
    }
    bounds |= _on_jumps({name: responses[name] for name in wholes}, source.party, folder)
    return replace(source, bounds=bounds)


def unmeasured(source: Run, why: str) -> Run:
    """A float64 run of which nobody knows what its constants in float32 make: it has a bound that says nothing."""
    note = f"what its constants in float32 make is not known, so float32 bounds it beside another framework: {why}"
    return replace(source, bounds={name: Bound() for name in source.arrays("f")}, notes=(*source.notes, note))


def _out_of_proportion(asked: _Perturbation) -> dict[str, Array]:
    """By output, the response to float64's own roundings.  A bound in proportion to float32's lacks it at a root of 0.

    That one shrinks with the root of the step.  What does not shrink is a jump, which no rounding excuses.
    """
    draws = _paired_draws("roundings")
    single, double = (asked.responses([replace(each, step=step) for each in draws]) for step in (UNIT, 2.0**-52))
    return {name: np.where(moves < single[name] / 64, moves, 0.0) for name, moves in double.items()}


def _on_jumps(responses: Mapping[str, Array], party: Party, folder: Path) -> dict[str, Bound]:
    """How far whole numbers may be off that the program's own roundings, in front of a jump, put on either side."""
    moved = {name: BEYOND * moves for name, moves in responses.items() if moves.any()}
    return {n: Bound(integer_jumps=save(folder, party, n, moves, kind="sides")) for n, moves in moved.items()}


def _paired_draws(what: Literal["roundings", "constants"]) -> list[Jitter]:
    """Draws in pairs: what cancels under the signs of one adds up under those of its twin (:class:`Jitter`)."""
    return [Jitter(pair, what=what, turned=pair if second else None) for pair, second in paired(PAIRS)]


@dataclass(frozen=True)
class _Perturbation:
    """A case as one framework runs it, and the results that it is held against."""

    case: Case
    framework: str
    values: Mapping[str, Any]
    floats: Mapping[str, Array]
    seed: int
    double: bool

    def responses(self, jitters: Sequence[Jitter]) -> dict[str, Array]:
        """By output, the largest distance of an element under any of ``jitters``.

        A model may refuse what lies a rounding outside of its domain (a target above 1): then it is moved inward only.
        """
        try:
            return self._responses(jitters)
        except Exception:  # whatever the framework raises
            inward = [replace(jitter, inward=True) for jitter in jitters if jitter.what == "inputs"]
            if len(inward) < len(jitters):
                raise
            return self._responses(inward)

    def _responses(self, jitters: Sequence[Jitter]) -> dict[str, Array]:
        centres = dict(self.floats)
        if any(jitter.what != "inputs" for jitter in jitters):  # the program is watched for that, or traced
            (still,) = self._runs([replace(jitters[0], step=0.0)])
            centres = {name: still[name] for name in self.floats}
        centres = {name: centre.astype(np.float64) for name, centre in centres.items()}
        draws = ({name: moved[name].astype(np.float64) for name in centres} for moved in self._runs(jitters))
        found = largest_responses(centres, draws)
        for name, centre in centres.items():
            own_size = _OWN_SIZE * np.abs(centre[np.isfinite(centre)]).max(initial=0.0)
            if (distance(centre, self.floats[name].astype(np.float64)) > BEYOND * found[name] + own_size).any():
                # What a program makes of it that behaves otherwise while it is looked at is no measure of the model.
                raise NotImplementedError(f"{self.framework} makes another {name} while its operators are watched")
        return found

    def _runs(self, jitters: Sequence[Jitter]) -> Iterator[dict[str, Array]]:
        engine = adapter(self.framework)
        for results in engine.perturbed(self.case, self.values, double=self.double, seed=self.seed, jitters=jitters):
            yield results_in_case_axes(self.case, self.framework, engine.layouts, results)

    def scales(self, response: Mapping[str, Array], inner: Mapping[str, Array]) -> dict[str, Array]:
        """By output, the larger of two responses, in units of one rounding."""
        larger = {name: np.maximum(moves, inner[name]) if name in inner else moves for name, moves in response.items()}
        units = {n: UNIT if self.double else float(np.finfo(self.floats[n].dtype).eps) for n in larger}
        return {name: at_least_mean(moves) / units[name] for name, moves in larger.items()}

    def own_roundings(self) -> tuple[Roundings | None, dict[str, Array]]:
        """The roundings of the framework's own operators, and the responses to them; nothing where nobody sees them."""
        engine = adapter(self.framework)
        try:
            counted = engine.roundings(self.case, self.values, double=self.double, seed=self.seed)
            return counted, self.responses(_paired_draws("roundings")) if counted is not None else {}
        except NotImplementedError:
            return None, {}


def _without_jumps(moves: Array, tiny: Array, centre: Array) -> Array:
    """Responses to moved inputs, where nothing is moved across a jump.

    A response shrinks with the step or, in chaos, by less.  That of a number that lies on a jump is what it was; that
    of one beside a jump is gone at once, and what is left of it is the slope on its own side.
    """
    flagged = is_jump(moves, centre, UNIT)
    slope = tiny * (UNIT / _TINY_STEP)
    beside = flagged & (slope < moves / 64)
    return np.where(flagged & (tiny > moves / 4), 0.0, np.where(beside, slope, moves))


def _float_fed(case: Case, values: Mapping[str, Any]) -> bool:
    """Whether there is a float array among the inputs and parameters for a perturbation to move."""
    return any(isinstance(value, np.ndarray) and value.dtype.kind == "f" for value in values.values())
