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
class SilentDifferences:
    """What two graphs hold differently, over several feeds.

    ``unshown`` is what no value shows, each with the values of A and B concerned; ``exercised`` are pairs that some
    feed tells apart; ``aligned`` are all pairs that were aligned, by feed; ``cancelled`` are differences inside
    that no output shows, by node of B.  ``ends`` are B's nodes where infinities stand on one side alone, ``rounded``
    constants of B that are nearly A's.
    """

    unshown: dict[str, tuple[str, str]] = field(default_factory=dict)
    exercised: set[tuple[str, str]] = field(default_factory=set)
    aligned: list[set[tuple[str, str]]] = field(default_factory=list)
    cancelled: dict[str, Fault] = field(default_factory=dict)
    ends: dict[str, tuple[float, float]] = field(default_factory=dict)
    rounded: dict[str, tuple[int, int, float]] = field(default_factory=dict)

    def without_cancelled(self, forced: TeacherForcedResult) -> TeacherForcedResult:
        """The result, without faults where all of them are cancelled before any output; these are kept here."""
        if not forced.cancelled:
            return forced
        self.cancelled |= {part.node: part for part in forced.faults if part.node not in self.cancelled}
        return replace(forced, faults=())

    def cancelled_differences(self) -> list[str]:
        """The differences inside that no output shows, in words."""
        return [
            f"inside, {safe(part.output)} of B ({safe(part.node)}) is not A's, at most {part.introduced:.3g} apart; "
            "no output shows it on anything that was fed"
            for part in self.cancelled.values()
        ]

    def unseen(self) -> dict[str, tuple[str, str]]:
        """What may differ in meaning and no feed shows."""
        return {says: pair for says, pair in self.unshown.items() if pair not in self.exercised}

    def add(self, forced: TeacherForcedResult) -> None:
        """Take in what one feed shows, and what it leaves unshown."""
        self.exercised |= forced.exercised
        new = {pair for says, pair in forced.unshown.items() if says not in self.unshown}
        self.exercised |= {pair for pair in new if any(pair not in earlier for earlier in self.aligned)}
        self.unshown |= forced.unshown
        self.ends |= forced.ends
        self.rounded |= forced.rounded
        if forced.compared and not any(not t.endswith(SILENT) for t in forced.unjudged):
            self.aligned.append({(p.left, p.right) for p in forced.alignment.pairs})
