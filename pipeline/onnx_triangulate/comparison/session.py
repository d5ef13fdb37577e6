"""One comparison: both files as they are compared, who compares them, and what is known of them so far."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from onnx_triangulate.comparison.interface import PLAIN, Match
from onnx_triangulate.comparison.options import Options
from onnx_triangulate.engines.workers import Workers
from onnx_triangulate.locate import float32_runs
from onnx_triangulate.locate.float64_comparison import compare_in_float64
from onnx_triangulate.locate.graph_pair import GraphPair
from onnx_triangulate.locate.model_interface import Interface
from onnx_triangulate.locate.silent_differences import SilentDifferences
from onnx_triangulate.locate.teacher_forced import TeacherForcedResult
from onnx_triangulate.onnxgraph.nodes import message
from onnx_triangulate.records import npz
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.faults import Fault
from onnx_triangulate.records.graph_comparison import ComparedOutput
from onnx_triangulate.records.runs import Failure

WORKER = "graphs"
# What hangs, or outgrows its memory, on one set of numbers does so on every one.
_SAME_EACH_TIME = (
    compare_in_float64,
    float32_runs.replay_nodes,
    float32_runs.float32_room,
    float32_runs.count_roundings,
)


class WorkerCalls:
    """Workers that are not asked again for what hung, or outgrew its memory, on other numbers or as the other side."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._spent: dict[tuple[str, ...], Failure] = {}

    @property
    def deaths(self) -> list[str]:
        return self._workers.deaths

    def call(self, kind: str, function: Callable[..., Any], *arguments: Any) -> Any:
        if function not in _SAME_EACH_TIME:
            return self._workers.call(kind, function, *arguments)
        files = [str(a) for a in arguments if isinstance(a, Path) and a.suffix != ".npz" and a.is_file()]
        key = (function.__name__, *files)
        if key not in self._spent:
            answer = self._workers.call(kind, function, *arguments)
            if not (isinstance(answer, Failure) and answer.kind in ("timeout", "memory")):
                return answer
            self._spent[key] = answer
        return self._spent[key]


@dataclass(frozen=True)
class Session:
    """Both files, their interfaces and how these match; ``folder`` is where what workers exchange is written.

    ``turned``: an input may stand in another order of axes in B, so that an output may as well.
    """

    workers: WorkerCalls
    pair: GraphPair
    a: Interface
    b: Interface
    inputs: Match
    outputs: Match
    options: Options
    folder: Path

    @property
    def turned(self) -> bool:
        ways = (way for _, way in self.inputs.found.values())
        return any(way != PLAIN for way in ways) or not any(len(p.shape or ()) > 2 for p in self.a.inputs)

    @property
    def whole_outputs(self) -> frozenset[str]:
        """B's outputs that are on one side of a jump or on the other."""
        return frozenset(p.name for p in self.b.outputs if p.whole or p.dtype == "bool")

    @property
    def drawn(self) -> bool:
        """Whether an output depends on random numbers: it is another each time, whatever the graphs mean."""
        return bool(self.a.drawn or self.b.drawn)

    @property
    def jumps(self) -> bool:
        """Whether one rounding may move a value far in either graph."""
        return self.a.jumps or self.b.jumps

    def call(self, function: Callable[..., Any], *arguments: Any, limit: int = 200) -> Any:
        """What a function gives in a worker; a :class:`Failure`, in ``limit`` characters, where it dies or a runtime,
        an evaluator or the conversion to float64 refuses."""
        try:
            return self.workers.call(WORKER, function, *arguments)
        except UnusableInput:
            raise
        except Exception as error:  # a runtime's or an evaluator's refusal, whatever its type
            return Failure("refused", message(error, limit))

    def save_feeds(self, arrays: Mapping[str, Array]) -> dict[str, Path]:
        """Arrays by A's names, for each side in a file with its own names."""
        sides = {"A": arrays, "B": self.pair.for_b(arrays)}
        return {side: npz.save(self.folder / f"{side}.npz", feeds) for side, feeds in sides.items()}

    def in_float64(self, arrays: Mapping[str, Array], watched: tuple[tuple[str, str], ...] = ()) -> Any:
        """A :class:`TeacherForcedResult` of B judged by A, or the :class:`Failure` that it ended in."""
        feeds, pair = npz.save(self.folder / "left.npz", arrays), self.pair
        arguments = (pair.left, pair.right, feeds, pair.inputs, pair.outputs, watched)
        return self.call(compare_in_float64, *arguments, limit=300)


@dataclass
class Evidence(SilentDifferences):
    """What is known so far: what speaks against B, what stands open, and on how much it rests.

    ``differences`` are those that no node stands for, ``nans`` those on NaN alone; ``on_feeds`` are problems with the
    first feeds that have them; ``apart`` says that outputs differ in the graphs' own types.
    """

    faults: list[Fault] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    nans: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    on_feeds: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    unexercised: list[str] = field(default_factory=list)
    outputs: list[ComparedOutput] = field(default_factory=list)
    finite: set[str] = field(default_factory=set)
    result: TeacherForcedResult | None = None
    worst: float = 0.0
    compared: int = 0
    judged: int = 0
    unbounded: int = 0
    held: int = 0
    apart: bool = False
    swept: Counter[str] = field(default_factory=Counter)
    sizes: list[str] = field(default_factory=list)

    def on(self, feed: str, *problems: str) -> None:
        for problem in problems:
            self.on_feeds.setdefault(problem, []).append(feed)

    @property
    def b_is_faulty(self) -> bool:
        """Whether a node of B is named, and not only a kernel of the runtime."""
        return any(fault.party == "B" for fault in self.faults)

    def kernels_are_finite(self) -> bool:
        """Whether no kernel that departs makes NaN or an infinity of what means a number, so that none explains it."""
        kernels = (fault for fault in self.faults if fault.party != "B")
        return all(math.isfinite(v) for f in kernels for v in (f.expected, f.actual) if v is not None)

    def differs(self) -> bool:
        return bool(self.b_is_faulty or self.differences or (self.apart and not self.faults))
