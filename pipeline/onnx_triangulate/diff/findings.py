"""What is known and what was found while two forms are compared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from onnx_triangulate.diff.ir import Const, NormalForm, Operand, Ref, Step
from onnx_triangulate.diff.matching import Matching, Side, match_values
from onnx_triangulate.records.inspection import Difference


class Findings:
    """Two forms, which of their steps stand beside one another, and the differences that were found so far.

    ``matched`` are the nodes of the left that stand beside others; ``replaced`` the units of either side that stand
    in one place without being one operator; ``inner`` the nodes within graphs that have no counterpart; ``turned``
    says that an input has its axes in another order: then outputs may have, too.
    """

    def __init__(self, left: NormalForm, right: NormalForm) -> None:
        self.forms = left, right
        self.sides = Side(left), Side(right)
        self.inputs = match_values(left.inputs, right.inputs)
        self.outputs = match_values(left.outputs, right.outputs)
        if left.captured or right.captured or left.path or right.path:  # formal inputs of a body have no names to go by
            self.inputs = [(i, i) for i in range(min(len(left.inputs), len(right.inputs)))]
            self.outputs = [(i, i) for i in range(min(len(left.outputs), len(right.outputs)))]
        self.matching = Matching(self.sides[0], self.sides[1], self.inputs, self.outputs)
        self.found: list[Difference] = []
        self.notes: list[str] = []
        self.fused: dict[tuple[int, str], tuple[str, dict[str, str]]] = {}
        self.replaced: tuple[set[int], set[int]] = (set(), set())
        self.matched: set[str] = set()
        self.turned = False
        self.inner: tuple[list[str], list[str]] = ([], [])

    def add(
        self, kind: str, what: str, nodes: Sequence[str], others: Sequence[str], left: str, right: str, says: str = "",
        same: bool = False,
    ) -> None:  # fmt: skip
        self.found.append(Difference(kind, what, tuple(nodes), tuple(others), left, right, says, same))

    def steps(self, units: Iterable[int], which: int) -> list[Step]:
        """The steps of units of a side."""
        return [step for unit in units for step in self.sides[which].units[unit].steps]

    def beside_others(self, which: int) -> tuple[dict[str, None], dict[str, None]]:
        """The nodes of a side whose units have a counterpart or stand in the place of one, and the others."""
        found: tuple[dict[str, None], dict[str, None]] = ({}, {})
        for unit in range(len(self.sides[which].units)):
            alone = not self.matching.paired(unit, which) and unit not in self.replaced[which]
            steps = [step for step in self.steps([unit], which) if step.part != "view"]
            found[alone].update(dict.fromkeys(name for step in steps for name in step.nodes))
        return found

    def maker(self, ref: Ref, which: int) -> Step | None:
        side = self.sides[which]
        if ref.value not in side.maker:
            return None
        return side.units[side.maker[ref.value][0]].steps[-1]

    def sources(self, one: Step, two: Step) -> tuple[str, str]:
        """Where the operands of two steps come from."""
        made = [", ".join(self.source(o, i) for o in s.operands) for i, s in enumerate((one, two))]
        return made[0], made[1]

    def source(self, operand: Operand, which: int) -> str:
        """Where an operand comes from, in words."""
        if operand is None:
            return "none"
        if isinstance(operand, Const):
            return f"constant {operand.name}".strip()
        step = self.maker(operand, which)
        if step is not None:
            return step.nodes[-1] if step.nodes else step.op
        return self.forms[which].values[operand.value].name or "?"
