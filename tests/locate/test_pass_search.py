"""The search for faulty passes, on engines in which it is known who is faulty."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest

from onnx_triangulate.locate.pass_search import NO_NAMES, NO_SWITCH, NOT_AGAIN, UNSTEADY, minimal, search

NAMES = tuple(f"p{i}" for i in range(60))
LEVELS = ("layout", "extended", "basic", "none")
Engine = Callable[[frozenset[str], str | None], bool]


def engine(wrong: Callable[[frozenset[str]], bool], at: tuple[str | None, ...] = (None,)) -> Engine:
    """An optimizer whose answer is as wrong as ``wrong`` says of the passes that are on, at the levels ``at``."""
    return lambda off, level: level in at and wrong(frozenset(NAMES) - off)


def test_one_faulty_pass() -> None:
    found = search(NAMES, engine(lambda on: "p17" in on), levels=LEVELS)
    assert (found.off, found.on, found.instead, found.problem) == (("p17",), ("p17",), (), None)
    assert found.level == "layout"
    assert found.sessions < 40


@pytest.mark.parametrize("faulty", [NAMES[0], NAMES[1], NAMES[-1], NAMES[31]])
def test_wherever_it_stands(faulty: str) -> None:
    assert search(NAMES, engine(lambda on: faulty in on)).off == (faulty,)


def test_each_of_two_does_the_harm() -> None:
    found = search(NAMES, engine(lambda on: bool(on & {"p3", "p44"})))
    assert set(found.off) == {"p3", "p44"}
    assert len(found.on) == 1
    assert set(found.on) <= {"p3", "p44"}


def test_two_do_harm_together_only() -> None:
    found = search(NAMES, engine(lambda on: {"p3", "p44"} <= on))
    assert set(found.on) == {"p3", "p44"}
    assert (found.off, found.instead) == (("p44",), ("p3",)), "the first one only prepares for the other"
    turned = search(NAMES[::-1], engine(lambda on: {"p3", "p44"} <= on))
    assert (turned.off, turned.instead) == (("p3",), ("p44",))


def test_one_takes_over_where_another_is_off() -> None:
    found = search(NAMES, engine(lambda on: "p9" in on or ("p9" not in on and "p10" in on)))
    assert set(found.off) == {"p9", "p10"}


def test_one_hides_another() -> None:
    """With p5 on, p6 finds nothing to break; p7 breaks it in any case."""
    found = search(NAMES, engine(lambda on: "p7" in on or ("p6" in on and "p5" not in on)))
    assert found.off == ("p7",)
    assert found.on == ("p7",)


def test_one_repairs_what_another_breaks_when_off() -> None:
    """Everything off is well, p2 alone off is not enough: p1 needs p2's repair."""
    found = search(NAMES, engine(lambda on: "p1" in on and not ("p2" in on and "p8" not in on)))
    assert found.problem is None
    assert found.off in (("p1",), ("p8",))


def test_nothing_helps() -> None:
    found = search(NAMES, engine(lambda on: True, at=(None, "layout", "extended")), levels=LEVELS)
    assert (found.off, found.problem, found.level) == ((), NO_SWITCH, "basic")


def test_no_level_helps_either() -> None:
    found = search(NAMES, lambda off, level: True, levels=LEVELS)
    assert (found.off, found.problem, found.level) == ((), NO_SWITCH, None)


def test_a_level_that_does_not_matter() -> None:
    found = search(NAMES, engine(lambda on: "p2" in on, at=(None, "layout", "extended")), levels=LEVELS)
    assert (found.off, found.level) == (("p2",), "basic")


def test_an_engine_that_agrees_after_all() -> None:
    found = search(NAMES, lambda off, level: False)
    assert (found.off, found.problem, found.sessions) == ((), NOT_AGAIN, 1)


def test_an_engine_that_changes_its_mind() -> None:
    """Right the first time, and the other way round when asked again."""
    seen: set[frozenset[str]] = set()

    def diverges(off: frozenset[str], level: str | None) -> bool:
        again = off in seen
        seen.add(off)
        return ("p4" not in off) != again

    assert search(NAMES, diverges).problem == UNSTEADY


def test_an_engine_that_throws_dice() -> None:
    for seed in range(40):
        dice = random.Random(seed)
        found = search(NAMES, lambda off, level, dice=dice: dice.random() < 0.5)  # type: ignore[misc]
        assert found.problem in (NOT_AGAIN, NO_NAMES, NO_SWITCH, UNSTEADY)
        assert found.off == ()


def test_a_group_is_named_only_where_its_members_are_unknown() -> None:
    def rules(hidden: str) -> Engine:
        return lambda off, level: hidden not in off and "rules" not in off

    assert search([*NAMES, "rules"], rules("p12"), groups=["rules"]).off == ("p12",)
    assert search([*NAMES, "rules"], rules("new in this version"), groups=["rules"]).off == ("rules",)


def test_an_unknown_name_is_never_named() -> None:
    found = search(["no such pass", *NAMES], engine(lambda on: "p1" in on))
    assert found.off == ("p1",)


def test_no_names_at_all() -> None:
    """Nothing was switched off, so nothing is said of what switching off does."""
    assert search((), lambda off, level: True).problem == NO_NAMES


@pytest.mark.parametrize("faulty", [set(c) for n in (1, 2, 3) for c in itertools.combinations("abcdefg", n)])
def test_minimal_finds_every_set(faulty: set[str]) -> None:
    assert set(minimal("abcdefg", lambda some: faulty <= some)) == faulty


def test_minimal_is_minimal_where_sets_compete() -> None:
    def enough(some: frozenset[str]) -> bool:
        return {"a", "c"} <= some or {"b", "f", "g"} <= some or ("d" in some and "a" not in some)

    found = frozenset(minimal("abcefg", enough))
    assert enough(found)
    assert not any(enough(found - {name}) for name in found)
