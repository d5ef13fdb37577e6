"""Which nodes of a graph are faulty: what each adds of its own, and where its values come from."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from onnx_triangulate.records.arrays import Array, ArrayStore
from onnx_triangulate.records.runs import Failure


@dataclass(frozen=True)
class Origin:
    """Where a value of a graph comes from: the source's own name of it, the module's path and the user's line.

    ``op`` is the operator of the source that made it, in the source's words, where the source has no float64.
    """

    value: str
    module: str = ""
    line: str = ""
    op: str = ""

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.value, self.module and f"in {self.module}", self.line)))


@dataclass(frozen=True)
class SourceValues:
    """The source's own intermediate values for one exported graph, by the graph's names.

    ``single`` are in the case's own precision, ``double`` in float64 (``None`` where the source has none, or nobody
    asked); ``origins`` says where each comes from.  ``permuted`` says that the graph may hold a value in another order
    of axes than the source.
    """

    graph: str
    single: ArrayStore | None = None
    double: ArrayStore | None = None
    origins: Mapping[str, Origin] = field(default_factory=dict)
    permuted: bool = False
    error: Failure | None = None
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> Set[str]:
        stored = self.single or self.double
        return stored.slots.keys() if stored is not None else frozenset()

    def array(self, name: str, *, double: bool = False) -> Array | None:
        """One value; None where the source does not have it."""
        stored = self.double if double else self.single
        return None if stored is None else stored.load(name)

    def narrow(self, name: str) -> Array | None:
        """One value in the case's own precision; rounded to float32 from float64 where that is all there is."""
        if self.single is not None or self.double is None:
            return self.array(name)
        import numpy as np

        wide = self.double.load(name)
        with np.errstate(over="ignore"):
            return wide.astype(np.float32) if wide is not None and wide.dtype == np.float64 else wide


@dataclass(frozen=True)
class DifferingConstant:
    """A constant that holds other numbers than the one expected in its place: the first that differs, of how many.

    ``name`` is the graph's own name of it; ``differing`` of ``size`` elements are not equal.
    """

    name: str
    expected: float
    actual: float
    differing: int
    size: int


@dataclass(frozen=True)
class Fault:
    """A node that does not make what it should of the values that it is given.  Localization, kernels, ``compare`` and
    the comparison of two frameworks all give this record.

    ``node``, its operator ``op`` and the value ``output`` at which it shows.  ``nodes`` are all nodes that cannot be
    told apart from it, in the graph's order and itself among them; empty where it stands alone.  ``introduced`` is the
    largest absolute distance of ``output`` on the inputs that the node was given, ``ratio`` that over its bound (above
    1: no rounding; infinite where no difference is allowed), ``propagated`` the largest distance in a whole run.

    ``expected`` and ``actual`` are the worst element's, at ``index``: expected is what the reference makes of the same
    inputs.  That is the source's value for an export, float64's for a kernel, A's where B is judged by A, and the
    judge's where frameworks are compared.  ``party`` says whose node it is where several are judged at once (``B``, or
    ``A>ort.off`` for the runtime's kernel).  ``counterpart`` and ``against`` are the reference's value and nodes in its
    place, ``constants`` those that hold other numbers there.

    ``origin`` is where the source makes the value, ``precision`` a shorter format whose factors explain it entirely,
    ``problem`` what is wrong other than the numbers, or why it could not be judged.
    """

    node: str
    op: str
    output: str
    ratio: float | None = None
    introduced: float | None = None
    propagated: float | None = None
    index: tuple[int, ...] | None = None
    expected: float | None = None
    actual: float | None = None
    nodes: tuple[str, ...] = ()
    party: str = ""
    counterpart: str | None = None
    against: tuple[str, ...] = ()
    constants: tuple[DifferingConstant, ...] = ()
    origin: Origin | None = None
    precision: str | None = None
    problem: str | None = None

    @property
    def others(self) -> tuple[str, ...]:
        """The nodes that nothing tells apart from this one."""
        return tuple(name for name in self.nodes if name != self.node)

    @property
    def severity(self) -> float:
        """The ratio, where one that is not known counts as nothing."""
        return self.ratio or 0.0


@dataclass(frozen=True)
class Contribution:
    """How much of the difference of an output at ``index`` arises in some nodes, all of them inside their bounds.

    ``difference`` is signed, the runtime's less the source's; all contributions to an output add up to its difference.
    ``condition`` is the median of |w|.|x| / |w.x| of a node that sums products.  One without nodes stands for the
    ``others`` nodes.
    """

    nodes: tuple[str, ...]
    output: str
    difference: float
    index: tuple[int, ...] = ()
    condition: float | None = None
    others: int = 0


@dataclass(frozen=True)
class Localization:
    """Which nodes of a graph are at fault, as seen by ``party``: of the exporter's step or of a runtime's.

    ``judged`` counts the nodes that were judged, alone or through a later one; ``uncompared`` are those about which
    nothing could be said; ``unmapped`` counts the values that the source does not have; ``peak`` is the bytes of
    arrays held at most, weights not counted; ``within`` are the judged outputs that are inside their bounds;
    ``contributions`` say where a difference arises that no node is at fault for; ``only`` is the graph's node, where
    it is the only one between the inputs and the outputs;
    ``captured`` is how far what the exporter captured is from the native run, where it is not the same: what no node of
    the graph did.
    """

    graph: str
    party: str
    blame: str
    faults: tuple[Fault, ...] = ()
    judged: int = 0
    nodes: int = 0
    uncompared: tuple[Fault, ...] = ()
    unmapped: int = 0
    mapped: int = 0
    peak: int = 0
    precision: str = ""
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    captured: str = ""
    within: tuple[Fault, ...] = ()
    contributions: tuple[Contribution, ...] = ()
    only: Fault | None = None
    problem: str | None = None
