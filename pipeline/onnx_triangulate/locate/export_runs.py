"""What a runtime makes of an exported graph on the source's values: what float32 alone shows of an export.

Design note.  Runs are made in parts under a budget (``transform.cut``); the whole graph is run only when a node is at
fault, and then for the faulty values alone.  Nothing here accuses a node that float64 has judged, but for what only
float32 does: a value that is not finite there, or several nodes that lose what the source's one operator keeps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from onnx_triangulate.engines.runtimes import runtimes
from onnx_triangulate.locate.export_nodes import TINY, Export, ExportJudge, farthest, not_finite
from onnx_triangulate.locate.kernel_runs import RUNTIME, budget, part_runner
from onnx_triangulate.locate.output_attribution import contributions
from onnx_triangulate.numerics.perturbation import UNIT, at_least_mean
from onnx_triangulate.ops.rounding_counts import TRANSCENDENTAL
from onnx_triangulate.ops.roundings import roundings
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.errors import one_line
from onnx_triangulate.records.faults import Contribution, Fault, Localization
from onnx_triangulate.transform import cut

FOLLOWED = 64  # faulty values for which a whole run says how far off they are there
_MUCH = 0.1  # of an output's difference: no more than a question of where to look


@dataclass(frozen=True, eq=False)
class ExportRun:
    """An exported graph that ``judge`` has looked at, as a runtime runs it without optimizations."""

    export: Export
    judge: ExportJudge

    def _source(self, name: str) -> Array | None:
        """What is fed, or the source's value in the graph's order of axes, in the case's own precision."""
        feeds, source = self.export.feeds, self.export.source
        return feeds[name] if name in feeds else self.judge.standing(name, source.narrow(name))

    @property
    def _known(self) -> set[str]:
        """The values that the source and the graph have in one shape and type."""
        return {name for name in self.judge.fits if name in self.export.source.names}

    def with_float32(self, found: Localization) -> Localization:
        """The nodes whose value is not finite in float32 where the source's is, by the cut model in parts."""
        given, judge, model, weights = self._known, self.judge, self.export.model, self.export.weights
        sizes = cut.array_sizes(model)
        sizes |= {name: judge.sizes[name] // (2 if judge.double else 1) for name in given}
        planned = cut.parts(model, weights, sizes, budget(sizes), given) if given else []
        known = {error.output for error in found.faults}
        lost: list[Fault] = []
        notes, peak = list(found.notes), found.peak
        for part in cut.run_parts(model, weights, planned, self._source, part_runner(), given):
            peak = max(peak, part.held)
            if part.error and not any(note.startswith("not all of the cut model") for note in notes):
                notes.append(f"not all of the cut model could be run: {part.error}")
            lost += self._lost({n: a for n, a in part.arrays.items() if n in given - known})
        faults = tuple(sorted((*found.faults, *lost), key=lambda error: judge.maker[error.output]))
        return replace(found, faults=faults, notes=tuple(notes), peak=peak)

    def _lost(self, arrays: dict[str, Array]) -> Iterator[Fault]:
        """The nodes that made values which are not finite where the source's are."""
        for name, array in arrays.items():
            if array.dtype.kind != "f" or np.isfinite(array).all():
                continue
            due = self._source(name)
            assert due is not None
            error = not_finite(self._fault(name), due, array)
            if error.ratio is not None:
                yield error

    def _fault(self, name: str) -> Fault:
        """The nodes that make a value of the source's values before it."""
        nodes = self.judge.stretch(name)
        origin = self.export.source.origins.get(name)
        return Fault(nodes[-1] if nodes else name, self.judge.operator(name), name, nodes=nodes, origin=origin)

    def with_propagated(self, found: Localization) -> Localization:
        """How far the faulty values are from the source's in a whole run, a few at a time."""
        export = self.export
        names = [error.output for error in found.faults if error.output in export.source.names][:FOLLOWED]
        far: dict[str, float | None] = {}
        notes, peak = list(found.notes), found.peak
        try:
            model, given = cut.named_weights(cut.with_outputs(export.model, names), export.weights)
            handed = {name: export.weights[name] for name in given}
            run = runtimes()[RUNTIME].part(model.SerializeToString(), handed)
            for name in names:
                (seen,) = run(export.feeds, [name])
                due = self.judge.standing(name, export.source.narrow(name))
                far[name] = farthest(due, seen) if due is not None else None
                peak = max(peak, 3 * seen.nbytes)
        except Exception as error:  # a runtime's refusal, whatever its type
            notes.append(f"no whole run: {one_line(error)[:160]}")
        faults = tuple(replace(error, propagated=far.get(error.output)) for error in found.faults)
        return replace(found, faults=faults, notes=tuple(notes), peak=peak)

    def with_contributions(self, found: Localization) -> Localization:
        """Where the differences of the outputs arise, if no node is at fault for them."""
        known, judge = self._known, self.judge
        several: list[Contribution] = []
        notes = list(found.notes)
        for output in dict.fromkeys(o.name for o in judge.export.model.graph.output if o.name in known):
            try:
                several += contributions(judge, self._source, known, output, part_runner())
            except Exception as error:  # a runtime's refusal, whatever its type
                notes.append(f"{output} is not attributed: {one_line(error)[:160]}")
        return replace(found, contributions=tuple(several), notes=tuple(notes))

    def with_unstable(self, found: Localization) -> Localization:
        """The nodes that together stand for one operator of the source and lose in float32 what it keeps.

        Each is inside its own bound, for none adds more than its rounding; but what log(x + 1) rounds away, log1p
        keeps.  What several nodes may lose is what their roundings may, each acting like one of what the first of them
        reads or of the result (``perturbed_runs.derive_bounds`` holds a whole model against the same).  Only where much
        of an output's difference arises is anybody looked at.
        """
        total: dict[str, float] = {}
        for part in found.contributions:
            total[part.output] = total.get(part.output, 0.0) + abs(part.difference)
        large = {n for c in found.contributions if abs(c.difference) > _MUCH * total[c.output] for n in c.nodes}
        names = sorted(self._known, key=self.judge.maker.__getitem__)
        stretches = {name: self.judge.stretch(name) for name in names}
        asked = [name for name, nodes in stretches.items() if len(nodes) > 1 and not large.isdisjoint(nodes)]
        lost = [error for name in asked if (error := self._unstable(name)) is not None]
        return replace(found, faults=(*found.faults, *lost))

    def _unstable(self, name: str) -> Fault | None:
        """The nodes that make a value, where they lose more than their roundings may."""
        due = self.judge.standing(name, self.export.source.narrow(name))
        if due is None or due.dtype != np.float32:
            return None
        made, spread = self._made_of_given(name), self.judge.given_spread(name)
        if made is None or spread is None or made[0].shape != due.shape or spread[0].shape != due.shape:
            return None
        (seen, count), (centre, response) = made, spread
        with np.errstate(all="ignore"):
            least = at_least_mean(response)
            bound = (count + TRANSCENDENTAL) * (least + UNIT * np.abs(centre) + TINY)
            wide, own = seen.astype(np.float64), due.astype(np.float64)
            far = np.nan_to_num(np.fmin(np.abs(wide - own), np.abs(wide - centre)))
            ratio = np.nan_to_num(far / bound)
        if not ratio.size or ratio.max() <= 1:
            return None
        index = tuple(int(i) for i in np.unravel_index(int(ratio.argmax()), ratio.shape))
        return replace(
            self._fault(name),
            ratio=float(ratio[index]),
            introduced=float(far[index]),
            index=index,
            expected=float(own[index]),
            actual=float(wide[index]),
            problem="in float32 these nodes together lose what the source's one operator keeps",
        )

    def _made_of_given(self, name: str) -> tuple[Array, int] | None:
        """A value as a runtime makes it of the source's values before it, and how many roundings are on the way."""
        given = self.judge.given.keys()
        model = self.export.model
        nodes = cut.behind(model, {name}, lambda _, node: name in node.output or given.isdisjoint(node.output))
        try:
            seen, made = cut.run_nodes(model, self.export.weights, nodes, name, self._source, part_runner())
        except Exception:  # a runtime's refusal, whatever its type: then nobody is accused by it
            return None
        counted = roundings(made)
        return None if counted is None or counted.unknown else (seen, counted.count)
