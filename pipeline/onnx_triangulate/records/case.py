"""What is computed: a case, its tensors, its definition, and what is expected to part; numpy and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Tensor:
    """A named array of a case: its axes, its shape, its type and where its numbers come from.

    ``axes`` names the axes in the case's own order, separated by spaces (``"n c h w"``; ``""`` is a scalar).  Values
    are drawn from the integers ``low <= v < high``, or, with ``integers=False``, uniformly from ``[low, high)``;
    ``values`` (nested sequences or an array) fixes them instead.  ``layouts`` gives the order of the axes for a
    framework where its usual one does not fit: ``{"tensorflow": "h w o i"}``.  For an output ``shape=None`` promises
    no shape, and the numbers are not used."""

    axes: str
    shape: tuple[int, ...] | None = None
    dtype: str = "float32"
    low: float = 0
    high: float = 4
    integers: bool = True
    values: Any = None
    layouts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Absent:
    """A value that is absent on purpose (the gradient at a non-leaf): equal only where both sides lack it."""

    reason: str


@dataclass(frozen=True)
class Each:
    """A parameter that differs by framework: ``Each(torch=1e-5, tensorflow=1e-3)``."""

    values: Mapping[str, Any]

    def __init__(self, **values: Any) -> None:
        object.__setattr__(self, "values", dict(values))


@dataclass(frozen=True)
class Rounded:
    """A truth that float arithmetic reaches only by rounding.

    ``value`` is the float64 definition.  ``Rounded(value)`` leaves the bound to be derived: of each framework that runs
    the model, by moving what it is fed and what it rounds; the larger counts.  A bound of one's own is
    gamma_k * scale with gamma_k = k u / (1 - k u) (Higham, Accuracy and Stability of Numerical Algorithms, 3.1), u the
    unit roundoff of the party's type: ``scale`` (broadcastable to the value) is the sum of absolute values that the
    arithmetic passes through, ``roundings`` is k.  ``floor`` is an absolute term for results below the smallest normal
    number.  Raises ``ValueError`` where these are given without a scale."""

    value: Any
    scale: Any = None
    roundings: int = 0
    floor: float = 0.0

    def __post_init__(self) -> None:
        if self.scale is None and (self.roundings or self.floor):
            raise ValueError("Rounded(value, scale, roundings): roundings without a scale; Rounded(value) derives both")


@dataclass(frozen=True)
class Gradient:
    """Ask for the gradients of the output ``of``, contracted with the input ``cotangent``.

    ``wrt`` names inputs, parameters, or other outputs of the model (values that are not leaves).  The results are
    outputs of the case under the names ``grad_NAME``.  An output declared ``Absent`` is one nobody asks for."""

    of: str
    wrt: tuple[str, ...]
    cotangent: str


@dataclass(frozen=True)
class Expected:
    """A divergence that a case declares in advance.  It expires loudly: where it no longer shows, the run fails.

    ``cause``, ``op`` (one, or several) and ``nodes`` (names or globs) say what is expected: what shows besides, another
    operator or another node, is not."""

    blame: str
    reason: str
    cause: str | None = None
    when: str | None = None  # a requirement such as "tf2onnx<1.18"; elsewhere the expectation does not apply
    op: str | tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()


Builder = Callable[..., Callable[..., Any]]

Truth = Callable[..., Any]


@dataclass(frozen=True)
class Case:
    """One model with its inputs, as every framework that has it builds it.

    ``builders[framework](module, **parameters)`` returns the model, a callable of the inputs in their declared order
    (a function, a ``torch.nn.Module``, a Keras model, a ``tf.Module``, a ``tf.function``); it returns one array, or a
    tuple in the order of ``outputs`` (without the gradients), or a mapping by their names, or these nested in each
    other, in named tuples and in dataclasses: then an output's name is the path to it (``hidden_0``).
    ``truth(**inputs, **parameters)`` is the definition in float64 numpy in the case's own axes: an array (exact: every
    party has these bits) or a :class:`Rounded`, or a mapping of them by output.  A mapping of functions by framework
    says that the frameworks mean different things.
    ``expect`` maps an edge to what is expected to part there; the parties of an edge may be globs (``"torch>*"``).
    ``by_name`` calls the model with its inputs by keyword (``model(input_ids=…, attention_mask=…)``), a Keras model of
    named inputs with a mapping of them.
    ``dynamic`` names axes whose size the exported graph must leave open, with at least two more sizes each at which it
    is judged: ``{"n": (1, 5), "t": (4, 9)}`` is judged at n=1, t=4 and at n=5, t=9 besides the declared shapes.
    ``inputs_file`` names an ``.npz`` of the inputs' values and ``onnx`` files to be judged in place of fresh exports,
    by party (``{"torch": "model.onnx"}``); both are relative to the case file.
    ``training`` runs and exports the model in training mode; otherwise it is in evaluation mode, whatever mode the
    builder left it in.  ``note`` is printed with the verdict.  ``tags`` are words by which ``triangulate list --tag``
    finds the case; what its record says anyhow (``gradient``, ``dynamic``, ``training``, its number types, the blames
    that it declares) is a tag by itself."""

    name: str
    inputs: Mapping[str, Tensor]
    builders: Mapping[str, Builder]
    outputs: Mapping[str, Tensor | Absent] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    truth: Truth | Mapping[str, Truth] | None = None
    gradient: Gradient | None = None
    training: bool = False
    by_name: bool = False
    dynamic: Mapping[str, Sequence[int]] = field(default_factory=dict)
    inputs_file: str | Path | None = None
    onnx: Mapping[str, str | Path] = field(default_factory=dict)
    expect: Mapping[tuple[str, str], Expected | tuple[Expected, ...]] = field(default_factory=dict)
    note: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class CaseRef:
    """Where a case is: its file and its full name ``GROUP/NAME``.  Workers load the case from it.

    ``numbers`` is a digest of the inputs and parameters that the case gave when the run began; ``sizes`` pairs dynamic
    axes with their lengths where these are not the declared ones; ``inputs_file`` is an ``.npz`` of inputs in place of
    the case's own; ``drawn_inputs`` (which distribution, in words; seed) asks for random inputs in place of all of
    these."""

    file: Path
    name: str
    numbers: str = ""
    sizes: tuple[tuple[str, int], ...] = ()
    inputs_file: Path | None = None
    drawn_inputs: tuple[str, int] | None = None

    @property
    def group(self) -> str:
        return self.name.split("/", 1)[0]

    @property
    def size(self) -> str:
        """``n=5, t=9`` or the distribution of the drawn inputs; ``""`` at the declared sizes and inputs."""
        return (
            self.drawn_inputs[0] if self.drawn_inputs else ", ".join(f"{axis}={length}" for axis, length in self.sizes)
        )
