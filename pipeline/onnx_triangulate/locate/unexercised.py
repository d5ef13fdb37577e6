"""What two graphs hold differently and no feed has shown yet, over several feeds.

Design note.  On one feed a limit, a row of a table or a branch may tell nothing, and on the next one it may.  What one
comparison in float64 leaves unseen is kept until another one shows that it makes no difference there.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from onnx_triangulate.locate.teacher_forced import SILENT, TeacherForcedResult
from onnx_triangulate.records.faults import Fault
from onnx_triangulate.records.text import safe


@dataclass
class Unexercised:
    """``silent`` is what nothing shows, each with the values of A and B that it is about; ``exercised`` are such values
    that some feed tells apart; ``aligned`` are all values that were taken for one, by feed; ``asleep`` is what parts
    inside and no output shows, by node of B."""

    silent: dict[str, tuple[str, str]] = field(default_factory=dict)
    exercised: set[tuple[str, str]] = field(default_factory=set)
    aligned: list[set[tuple[str, str]]] = field(default_factory=list)

    asleep: dict[str, Fault] = field(default_factory=dict)
    ends: dict[str, tuple[float, float]] = field(default_factory=dict)  # by node of B: infinities on one side alone
    rounded: dict[str, tuple[int, int, float]] = field(default_factory=dict)  # constants of B, nearly A's

    def woken(self, forced: TeacherForcedResult) -> TeacherForcedResult:
        """As it was found, or with nothing faulty where that is undone again before any output is made."""
        if not forced.asleep:
            return forced
        self.asleep |= {part.node: part for part in forced.faults if part.node not in self.asleep}
        return replace(forced, faults=())

    def sleepers(self) -> list[str]:
        """What parts inside alone, in words."""
        return [
            f"inside, {safe(part.output)} of B ({safe(part.node)}) is not A's, at most {part.introduced:.3g} apart; "
            "no output shows it on anything that was fed"
            for part in self.asleep.values()
        ]

    def unseen(self) -> dict[str, tuple[str, str]]:
        """What might differ and no feed shows."""
        return {says: pair for says, pair in self.silent.items() if pair not in self.exercised}

    def looked_at(self, forced: TeacherForcedResult) -> None:
        """What one feed shows of what others do not, and what it does not show itself."""
        self.exercised |= forced.exercised
        new = {pair for says, pair in forced.silent.items() if says not in self.silent}
        self.exercised |= {pair for pair in new if any(pair not in earlier for earlier in self.aligned)}
        self.silent |= forced.silent
        self.ends |= forced.ends
        self.rounded |= forced.rounded
        if forced.compared and not any(not t.endswith(SILENT) for t in forced.unjudged):
            self.aligned.append({(p.left, p.right) for p in forced.alignment.pairs})
