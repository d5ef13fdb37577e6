"""What ``compare`` says of two graphs, as records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from onnx_triangulate.records.faults import Fault
from onnx_triangulate.records.runs import Outcome


@dataclass(frozen=True)
class ComparedOutput:
    """An output of A and the one of B that stands for it; ``max_abs`` is between the runs in the graphs' own types.

    ``unbounded``: they are apart, and nobody can say how far rounding may go (an operator without a count).
    """

    left: str
    right: str
    matched: str
    outcome: Outcome | Literal["unbounded"]
    compared: int
    max_abs: float | None = None
    problem: str | None = None


@dataclass(frozen=True)
class GraphComparison:
    """Two graphs that should mean the same: whether they do, and every node at which they do not.

    ``compared`` counts elements of outputs judged in float64, ``aligned`` values of B found in A, ``unmapped`` those
    found on one side only, ``worst`` the largest ratio of a healthy region to its bound, ``replayed`` the node runs
    that were held against their own bounds and ``unbounded`` those without a rule; ``peak_bytes``
    is the largest size of all intermediate values held at one time, weights not counted.

    ``faults`` are of nodes of B (``party`` is ``B``: which of two graphs is right, two graphs alone cannot say), and of
    kernels of the runtime (``A>ort.off``), which say nothing of what the graphs mean:
    "departs" is where the graphs mean the same and such a kernel makes their outputs differ.
    ``proved``: same by structure, whatever is fed.  ``further_feeds`` counts the feeds beyond ``feeds`` on
    which both graphs ran, ``sizes`` names those at other sizes, ``unexercised`` names behaviour that no feed reached.
    """

    left: Path
    right: Path
    outcome: Literal["same", "same but for NaN", "departs", "differs", "uncompared"]
    compared: int
    faults: tuple[Fault, ...]
    unmapped: Mapping[str, tuple[str, ...]]
    aligned: int
    outputs: tuple[ComparedOutput, ...]
    feeds: tuple[str, ...]
    inputs: tuple[str, ...]
    worst: float
    replayed: int
    unbounded: int
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    versions: Mapping[str, str | None]
    seed: int
    seconds: float = 0.0
    peak_bytes: int = 0
    proved: bool = False
    further_feeds: int = 0
    sizes: tuple[str, ...] = ()
    unexercised: tuple[str, ...] = ()

    @property
    def grade(self) -> str:
        """The outcome, and of "same" on what it rests."""
        return {"same": "proved the same" if self.proved else "same on what was fed"}.get(self.outcome, self.outcome)

    @property
    def exit_status(self) -> int:
        return 0 if self.outcome == "same" else 1
