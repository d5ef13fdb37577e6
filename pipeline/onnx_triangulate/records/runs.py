"""What a party answered, what an exporter wrote, and the edge between two parties.

Design note.  A stage is a function from frozen records to frozen records; nothing here knows a framework, ONNX or a
file format.  A *party* is one way to compute a case; a *run* is what one party answered, a value or a failure, never an
exception; a *diff* is an edge between two parties together with what was seen on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from onnx_triangulate.records.arrays import Array, ArrayFile
from onnx_triangulate.records.case import Absent
from onnx_triangulate.records.party import Party

OUTCOMES = ("equal", "rounding", "diverges", "missing", "nondeterministic")

Outcome = Literal["equal", "rounding", "diverges", "missing", "nondeterministic"]


@dataclass(frozen=True)
class Failure:
    """Why a party has no answer.  ``kind``:

    ``refused``      the engine raised: it will not build, export or run this;
    ``unsupported``  a valid graph, but this engine does not implement an operator of it;
    ``invalid``      the graph is not a valid model (checker, or a runtime on loading it);
    ``builder``      the case's own builder raised, or returned what the case did not promise;
    ``crashed``      killed by a signal;  ``timeout``  over the time limit;  ``memory``  over the memory limit;
    ``tool``         a bug of this project."""

    kind: str
    message: str
    op: str | None = None
    node: str | None = None


@dataclass(frozen=True)
class Bound:
    """How far float arithmetic may land from a definition, elementwise and absolute, in units of the value itself:
    gamma_k * scale + floor + constant_rounding, with gamma_k = k u / (1 - k u) and k = ``roundings`` (Higham, Accuracy
    and Stability of Numerical Algorithms, 3.1).

    ``constant_rounding`` is the measured response of the output to one rounding of the model's constants;
    ``integer_jumps`` the allowance of integer outputs, which rounding puts on either side of a jump.  Arrays have the
    shape of the output that they bound, or one that broadcasts to it.  A bound without any of these says nothing.
    ``derived`` names the frameworks of which it was derived, where nobody declared it."""

    scale: ArrayFile | None = None
    roundings: int = 0
    floor: float = 0.0
    constant_rounding: ArrayFile | None = None
    integer_jumps: ArrayFile | None = None
    derived: str = ""


@dataclass(frozen=True)
class Run:
    """What one party answered.  Exactly one of ``outputs`` and ``error`` is set.

    ``bounds`` are by output; an output without one is exact (for a truth) or says nothing (for anybody else).
    ``derived`` says where a definition comes from that the case did not give, ``nondeterminism`` why a run is
    not ``deterministic``, where that is known; ``seconds`` is wall-clock time."""

    party: Party
    outputs: Mapping[str, ArrayFile | Absent] | None = None
    error: Failure | None = None
    deterministic: bool = True
    seconds: float = 0.0
    bounds: Mapping[str, Bound] = field(default_factory=dict)
    derived: str = ""
    notes: tuple[str, ...] = ()
    nondeterminism: str = ""

    def arrays(self, kinds: str = "") -> dict[str, Array]:
        """The outputs that are there, by name; with ``kinds``, those of a type of one of these kinds (numpy's
        letters)."""
        import numpy as np

        stored = {name: value for name, value in (self.outputs or {}).items() if not isinstance(value, Absent)}
        return {name: v.load() for name, v in stored.items() if not kinds or np.dtype(v.dtype).kind in kinds}


@dataclass(frozen=True)
class Model:
    """What one exporter wrote.  ``inputs``/``outputs`` map the case's names to the graph's; ``axes`` gives the order of
    axes at the graph's inputs and outputs, by the case's names, where it is not the case's own."""

    graph: str
    file: Path | None = None
    error: Failure | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    axes: Mapping[str, str] = field(default_factory=dict)
    weights: Path | None = None  # an .npz of the source's own constants, where no graph before this one holds them
    seconds: float = 0.0
    log: str = ""
    notes: tuple[str, ...] = ()
    external: bool = False  # a file that somebody else exported
    traced_constants: tuple[str, ...] = ()  # what its tracer took for a constant, in the tracer's own words

    @property
    def party(self) -> Party:
        """Who wrote it: the framework and the exporter."""
        return Party.parse(self.graph)

    @property
    def usable(self) -> bool:
        """Whether it is a graph that can be run."""
        return self.error is None and self.file is not None


@dataclass(frozen=True)
class Diff:
    """An edge: two parties that differ in one step, and what was seen between them.

    ``index`` and ``values`` are the worst element's (index in the case's axes; left's, right's value), ``ratio`` its
    distance over its bound, ``max_abs`` the largest absolute difference, ``compared`` how many elements were compared,
    ``problem`` why nothing (or not everything) could be compared, ``explanation`` a fact about the difference that is
    never a pass ("equals the other side transposed by (0, 3, 1, 2)"), ``empty`` the outputs that are equal because they
    have no element.  ``size`` says at which sizes of the case's
    dynamic axes, nothing at the declared ones."""

    left: str
    right: str
    isolates: str
    outcome: Outcome
    compared: int = 0
    max_abs: float | None = None
    ratio: float | None = None
    output: str | None = None
    index: tuple[int, ...] | None = None
    values: tuple[float, float] | None = None
    differing: int = 0
    nan_only: bool = False  # every differing element is NaN on one side
    problem: str | None = None
    explanation: str | None = None
    size: str = ""
    empty: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        return self.outcome in ("equal", "rounding")

    @property
    def diverges(self) -> bool:
        return self.outcome == "diverges"

    @property
    def ends(self) -> tuple[Party, Party]:
        """The two parties."""
        return Party.parse(self.left), Party.parse(self.right)


@dataclass(frozen=True)
class Roundings:
    """``count`` roundings on the longest path; ``unknown`` are the operators that nobody counted."""

    count: int
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Jitter:
    """A perturbation by ``step``, signs drawn from ``seed``.

    ``what`` is moved: every float input and weight; the ``roundings`` of the program itself, which are its scalars that
    float32 cannot hold and the result of every operator, by as many steps as the operator rounds; or, of these, only
    what is a ``constants``' cone, which no input reaches.  ``turned`` moves those the other way whose number has that
    bit: two that cancel in one draw add up in its twin.  What is not float64 is moved by its own type's eps.  A step of
    0 moves nothing.  ``inward`` moves inputs and weights towards zero or not at all: a target of 1 stays one."""

    seed: int
    step: float = 2.0**-24
    what: Literal["inputs", "roundings", "constants"] = "inputs"
    turned: int | None = None
    inward: bool = False

    def moves(self, fed: bool) -> bool:
        """Whether what the program itself rounds is moved; ``fed``: something that is fed reaches it."""
        return self.what == "roundings" or (self.what == "constants" and not fed)

    def way(self, number: int) -> float:
        """Which way the thing of a number (from 1 on) is moved: 1, or -1 where it is turned."""
        return -1.0 if self.turned is not None and number >> self.turned & 1 else 1.0
