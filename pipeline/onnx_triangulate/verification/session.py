"""A session: what a run of ``verify`` was asked for, its worker processes, and what is asked of which of them.

A limit that was reached is remembered for the case: what hung, or outgrew its memory, is not asked again at another
size or for another reason, because it would be waited for again each time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from onnx_triangulate.engines import running
from onnx_triangulate.engines.protocols import Runtime
from onnx_triangulate.engines.runtimes import runtimes
from onnx_triangulate.engines.workers import died
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Failure, Model

RUNTIME_WORKER = "runtimes"  # the kind of worker in which graphs are read, run and judged
_LIMITS = ("timeout", "memory")
_ENOUGH = 2  # items of one graph that reached a limit; of the others as much is to be expected
Item = TypeVar("Item")
Result = TypeVar("Result")
_Key = tuple[str, ...]


@dataclass(frozen=True)
class Options:
    """How to run.

    ``parties`` are globs of the ONNX parties to run, all of them if there are none (``("torch>ort.*",)``); natives,
    definitions, float64 and the runtimes that one is held against are always there.  ``timeout`` is seconds per call
    into an engine, ``memory`` bytes of resident size per worker.  ``inputs`` is an ``.npz`` in place of the cases' own
    inputs, ``onnx`` files to be judged in place of fresh exports, by party (``(("torch", Path("model.onnx")),)``).
    ``sizes`` are those of open axes of targets that are ONNX files, by name.  ``written`` are the files that whoever
    asks will write: none that is read may be among them.
    """

    seed: int = 0
    jobs: int = 1
    require: tuple[str, ...] = ()
    parties: tuple[str, ...] = ()
    out: Path | None = None
    timeout: float = 120.0
    memory: int = 8 * 2**30
    inputs: Path | None = None
    onnx: tuple[tuple[str, Path], ...] = ()
    sizes: tuple[tuple[str, int], ...] = ()
    written: tuple[str, ...] = ()


class Pool(Protocol):
    """Where functions are called: ``engines.workers.Workers``; benchmarks call them in their own process."""

    def ask(
        self,
        kind: str,
        function: Callable[..., Any],
        arguments: Sequence[Any],
        *,
        deaths: list[str] | None = None,
        again: bool = True,
    ) -> Any:
        """What the function gives in a process of a ``kind``, or the :class:`Failure` that the process became."""


@dataclass(frozen=True)
class Session:
    """The worker processes, the options and the absent engines of one run.

    For one case (:meth:`for_case`), ``deaths`` are sentences about processes that were killed and whose work another
    one then did, and ``spent`` is what reached a limit.
    """

    workers: Pool
    options: Options
    absent: Sequence[str] = ()
    deaths: list[str] = field(default_factory=list)
    spent: dict[_Key, Failure] = field(default_factory=dict)

    def for_case(self) -> Session:
        return Session(self.workers, self.options, self.absent)

    @property
    def runtimes(self) -> dict[str, Runtime]:
        """The installed runtimes by name, each after the one it is held against."""
        return {name: runtime for name, runtime in runtimes().items() if runtime.distribution not in self.absent}

    @property
    def weight_limit(self) -> int:
        """Bytes that the weights of one model may take in a worker that holds more than these."""
        return int(0.9 * self.options.memory)

    def call(self, kind: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """``function(*arguments)`` in a worker of a ``kind``, or the :class:`Failure` that the process became."""
        key = _key(kind, function, arguments)
        if key in self.spent:
            return self.spent[key]
        answer = self.workers.ask(kind, function, arguments, deaths=self.deaths)
        if isinstance(answer, Failure):
            self.remember(key, answer)
        return answer

    def call_runtimes(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """As :meth:`call`, in the worker in which graphs are read, run and judged."""
        return self.call(RUNTIME_WORKER, function, *arguments)

    def value(self, otherwise: Any, function: Callable[..., Any], *arguments: Any, kind: str = RUNTIME_WORKER) -> Any:
        """As :meth:`call`, with ``otherwise`` in place of a failure."""
        answer = self.call(kind, function, *arguments)
        return otherwise if isinstance(answer, Failure) else answer

    def each(
        self,
        kind: str,
        function: Callable[..., Any],
        arguments: Callable[[Sequence[Item]], Sequence[Any]],
        items: Sequence[Item],
        failed: Callable[[Item, Failure], Result],
    ) -> list[Result]:
        """A batch in one call; if its process dies, each item in a call of its own, so that only the one that kills it
        is lost.  ``arguments(ITEMS)`` are those of the call."""
        batch = _Batch(self, kind, function, arguments, items)
        batch.run()
        return [
            batch.found[place] if place in batch.found else failed(item, batch.lost[place])
            for place, item in enumerate(items)
        ]

    def remember(self, key: _Key, failure: Failure) -> None:
        if failure.kind in _LIMITS:
            self.spent.setdefault(key, failure)

    def runs_with(self, graph: str) -> list[str]:
        """The runtimes, in either precision (``reference@64``), that are asked to run a graph."""
        globs, present, party = self.options.parties, self.runtimes.values(), Party.parse(graph)
        asked = {besides(r) or r.name for r in present if chosen(party.on(r.name), globs)}
        for runtime in reversed(present):  # a step can be told apart only beside what it is held against
            if runtime.name in asked:
                asked.add(runtime.after)
        # float64 shows what float32's bound hides: it comes with the rest.  A file's own meaning is float64 already.
        doubles = [r for r in present if r.double and not party.is_own_source]
        sharp = [r for r in doubles if asked or chosen(party.on(r.name, double=True), globs)]
        return [*[r.name for r in present if r.name in asked], *[party.on(r.name, double=True).item for r in sharp]]

    def precisions(self, graphs: Iterable[str]) -> tuple[bool, ...]:
        """The precisions in which a source is run: float64 (True) is wanted where a graph is run in it."""
        runs = [Party.parse(f"{graph}>{item}") for graph in graphs for item in self.runs_with(graph)]
        return (False, True) if any(run.double or run.is_own_source for run in runs) else (False,)


@dataclass
class _Batch(Generic[Item]):
    """Items of one function, by their place; ``found`` and ``lost`` are what became of them."""

    session: Session
    kind: str
    function: Callable[..., Any]
    arguments: Callable[[Sequence[Item]], Sequence[Any]]
    items: Sequence[Item]
    found: dict[int, Any] = field(default_factory=dict)
    lost: dict[int, Failure] = field(default_factory=dict)

    def run(self) -> None:
        places = range(len(self.items))
        self.lost = {place: failure for place in places if (failure := self._reached(place))}
        left = [place for place in places if place not in self.lost]
        answer = self._asked(left, again=len(left) == 1) if left else []
        if not isinstance(answer, Failure):
            self.found = dict(zip(left, answer, strict=True))
        elif len(left) == 1 or (answer.kind in _LIMITS and _native_key(self.kind) in self.session.spent):
            self.lost |= dict.fromkeys(left, answer)
        else:
            self._one_by_one(left)
            if answer.kind == "crashed" and not any(failure.kind == "crashed" for failure in self.lost.values()):
                self.session.deaths.append(died(self.kind, self.function, answer))
        for place, failure in self.lost.items():
            self.session.remember(self._key(place), failure)

    def _one_by_one(self, places: Sequence[int]) -> None:
        for place in places:
            failure = self._reached(place) or self._expected()
            answer = failure or self._asked([place], again=False)
            if isinstance(answer, Failure):
                self.lost[place] = answer
                if failure is None:
                    self.session.remember(self._key(place), answer)
            else:
                self.found[place] = answer[0]

    def _asked(self, places: Sequence[int], *, again: bool) -> Any:
        items = [self.items[place] for place in places]
        workers, deaths = self.session.workers, self.session.deaths
        return workers.ask(self.kind, self.function, self.arguments(items), deaths=deaths, again=again)

    def _key(self, place: int) -> _Key:
        return _key(self.kind, self.function, self.arguments([self.items[place]]))

    def _reached(self, place: int) -> Failure | None:
        """The limit that an item reached before; float64 takes no less time and memory than what reached one
        without."""
        spent = self.session.spent
        single = spent.get(_native_key(self.kind)) if self.function is running.run_native else None
        return spent.get(self._key(place)) or single

    def _expected(self) -> Failure | None:
        """The limit that another item may be expected to reach, after several have."""
        reached = [failure for failure in self.lost.values() if failure.kind in _LIMITS]
        if len(reached) < _ENOUGH:
            return None
        return replace(reached[-1], message=f"not asked, for {len(reached)} others: {reached[-1].message}")


def _key(kind: str, function: Callable[..., Any], arguments: Sequence[Any]) -> _Key:
    """What is asked of whom, at whatever size."""
    return (kind, function.__name__, *(word for argument in arguments for word in _about(argument)))


def _about(argument: Any) -> list[str]:
    """What tells one question from another: graphs and words, those that a record holds beside a graph too."""
    if isinstance(argument, Model):
        return [argument.graph]
    if isinstance(argument, (str, list, tuple)):
        return [repr(argument)]
    if isinstance(getattr(argument, "model", None), Model):
        return [argument.model.graph, *(value for value in vars(argument).values() if isinstance(value, str))]
    return []


def _native_key(kind: str) -> _Key:
    """What is remembered of a framework that did not run the case in its own precision."""
    return _key(kind, running.run_native, [kind, [False]])


def besides(runtime: Runtime) -> str:
    """The runtime that another one is only run beside; nothing for most."""
    return str(getattr(runtime, "beside", ""))


def chosen(party: Party, globs: Sequence[str]) -> bool:
    """Whether an ONNX party is among those asked for."""
    return not globs or any(fnmatchcase(str(party), glob) for glob in globs)
