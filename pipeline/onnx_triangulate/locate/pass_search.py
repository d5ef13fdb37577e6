"""The search for the passes of an optimizer that change an answer; pure, the engine is handed in as a function.

Design note.  An optimizer is a list of named passes that can be switched off, and one question can be asked of it: does
the answer still diverge with these off, at that level?  Two smallest sets are looked for, both by delta debugging
(Zeller and Hildebrandt, Simplifying and isolating failure-inducing input, TSE 2002), because passes hide one another:
where one is switched off another may do the same harm, and one may only do harm on what another left.

* what must be switched **off**: with it the divergence is gone, and each one of it switched on again brings it back;
* what must be **on**: with every other pass off it still diverges, and without any one of it no longer.

The first is the remedy, the second the mechanism (and gives a rewritten graph free of other passes' work).  Nothing is
believed once: at the end all answers that the conclusion rests on are asked for again, so that an engine which answers
differently from one time to the next names nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

Diverges = Callable[[frozenset[str], str | None], bool]

NOT_AGAIN = "the divergence did not come back when the optimized run was repeated"
UNSTEADY = "asked again, the same passes gave another answer: nobody can be named"
NO_SWITCH = "no off-switch of this optimizer removes it: it is there with every known pass switched off"
NO_NAMES = "no pass of this optimizer is known by name, so none was switched off"


@dataclass(frozen=True)
class PassSearch:
    """What the search came to.

    ``off`` removes the divergence and is minimal; ``instead`` are passes that each do so alone as well.  ``on`` is what
    suffices for it with all others off, empty where not even all of them do (the harm needs what cannot be named).
    ``level`` is the strongest level at which it is gone, by itself.  ``sessions`` counts the runs that were made.
    ``problem`` says why no pass is named.
    """

    off: tuple[str, ...] = ()
    on: tuple[str, ...] = ()
    instead: tuple[str, ...] = ()
    level: str | None = None
    sessions: int = 0
    problem: str | None = None


@dataclass
class _Oracle:
    """The engine with a memory and a counter."""

    diverges: Diverges
    sessions: int = 0
    known: dict[tuple[frozenset[str], str | None], bool] = field(default_factory=dict)

    def __call__(self, off: Collection[str] = (), level: str | None = None, *, again: bool = False) -> bool:
        key = (frozenset(off), level)
        if again or key not in self.known:
            self.sessions += 1
            self.known[key] = bool(self.diverges(*key))
        return self.known[key]


def search(
    names: Sequence[str], diverges: Diverges, *, groups: Collection[str] = (), levels: Sequence[str] = ()
) -> PassSearch:
    """The passes among ``names``, which are in the order in which they run, that make an answer diverge.

    ``diverges(off, level)`` runs with some passes off, at another level than usual where one is given; whatever is not
    agreement (a refusal, say) counts as divergence.  ``groups`` are names that switch off several passes at once, known
    and unknown ones: they are tried only where the others do not suffice.  ``levels`` are weaker than the usual one,
    the strongest first.
    """
    ask = _Oracle(diverges)
    if not ask():
        return PassSearch(sessions=ask.sessions, problem=NOT_AGAIN)
    level = next((each for each in levels if not ask(level=each)), None)
    single = [name for name in dict.fromkeys(names) if name not in groups]
    pool = next((p for p in (single, [*single, *groups]) if p and not ask(p)), None)
    if pool is None:
        return PassSearch(level=level, sessions=ask.sessions, problem=NO_SWITCH if names else NO_NAMES)
    off = minimal(pool, lambda some: not ask(some))
    everything = frozenset(pool)
    on = off
    if not ask(everything - set(off)):  # others have to be on as well
        rest = [name for name in pool if name not in off]
        on = (*off, *minimal(rest, lambda some: ask(everything - some - set(off))))
    on = minimal(on, lambda some: ask(everything - some))
    instead = tuple(name for name in on if name not in off and not ask({name}))
    if instead and len(off) == 1:  # the others only prepare the graph for what runs last
        *instead_, last = sorted({*off, *instead}, key=list(names).index)
        off, instead = (last,), tuple(instead_)
    if not _holds(ask, off, on, everything, level):
        return PassSearch(level=level, sessions=ask.sessions, problem=UNSTEADY)
    return PassSearch(off, on, instead, level, ask.sessions)


def _holds(
    ask: _Oracle, off: Collection[str], on: Collection[str], everything: frozenset[str], level: str | None
) -> bool:
    """Whether what the conclusion rests on is answered in the same way again."""
    chosen = frozenset(off)
    return (
        ask(again=True)
        and not ask(chosen, again=True)
        and all(ask(chosen - {name}, again=True) for name in chosen)
        and not ask(everything, again=True)
        and ask(everything - frozenset(on), again=True)
        and (level is None or not ask(level=level, again=True))
    )


def minimal(items: Sequence[str], enough: Callable[[frozenset[str]], bool]) -> tuple[str, ...]:
    """A smallest part of ``items`` that is ``enough``: without any one of its own it is not.

    ``items`` as a whole must be enough, and nothing at all must not be.  Fewer questions are asked where the parts that
    matter are few: about 2 log n for one of n.
    """
    kept = list(items)
    parts = 2
    while len(kept) > 1:
        size = -(-len(kept) // parts)
        chunks = [kept[i : i + size] for i in range(0, len(kept), size)]
        smaller = next((chunk for chunk in chunks if len(chunks) > 1 and enough(frozenset(chunk))), None)
        if smaller is not None:
            kept, parts = smaller, 2
            continue
        without = next((w for c in chunks if (w := [i for i in kept if i not in c]) and enough(frozenset(w))), None)
        if without is not None:
            kept, parts = without, max(parts - 1, 2)
        elif size == 1:
            break
        else:
            parts = min(len(kept), 2 * parts)
    return tuple(kept)
