"""What is left of a graph of numbers when everything that is on no cycle is taken away."""

from __future__ import annotations

from collections.abc import Sequence


def _peeled(arrows: Sequence[Sequence[int]], alive: set[int]) -> set[int]:
    """Without those that no one alive points to, again and again."""
    pointed = dict.fromkeys(alive, 0)
    for source in alive:
        for target in arrows[source]:
            if target in pointed:
                pointed[target] += 1
    waiting = [node for node, number in pointed.items() if not number]
    left = set(alive)
    while waiting:
        node = waiting.pop()
        left.discard(node)
        for target in arrows[node]:
            if target in left and target in pointed:
                pointed[target] -= 1
                if not pointed[target]:
                    waiting.append(target)
    return left


def on_cycles(arrows: Sequence[Sequence[int]]) -> list[int]:
    """The nodes that lie on a cycle, or between two of them; ``arrows[i]`` are those that ``i`` points to."""
    back: list[list[int]] = [[] for _ in arrows]
    for source, targets in enumerate(arrows):
        for target in targets:
            back[target].append(source)
    return sorted(_peeled(back, _peeled(arrows, set(range(len(arrows))))))
