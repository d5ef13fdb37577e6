"""A verdict is the same whichever parties are shown, in whatever order files are given, at any seed, however often.

Healthy models, given files, pairs that differ and rewrites, a sample of each.  What is compared is who is blamed for
what: with fewer parties, all that is said of those that are shown.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from judgement import given as given_rows
from judgement.judged import ALARM, RIGHT, Judged
from judgement.pairs import HIDDEN, REWRITES
from judgement.verdicts import TIMEOUT, Line, Lines, compared, lasting_workers, verify_cases
from onnx_triangulate.verification.verify import Options

MATERIAL = Path(__file__).parent
SUBSETS = (
    ("torch>*",),
    ("torch:raw>*",),
    ("torch>ort.*",),
    ("torch>ort.all",),
    ("torch:script>*",),
    ("torch>*", "torch:raw>*"),
)
HEALTHY = """
scalars_00 scalars_05 scalars_21 scalars_40 activations_05 activations_17 activations_30 maths_33 folded_00 folded_03
folded_05 folded_29 tables_04 tables_13 vision_10 vision_11 vision_31 interpolation_06 interpolation_11 masks_01
masks_17 language_06 integers_02 halves_16 bfloats_06 reductions_24
""".split()
GIVEN = """
weights_behind_sigmoid_1e4 weights_behind_argmax_60 limit_lost_-10_10 layer_norm_epsilon batch_norm_epsilon padding_id_7
one_row_other
""".split()
SEEDS = REPEATS = 5
COUNT = 24  # pairs of each sort


def blamed(line: Line, globs: Sequence[str] = ()) -> list[str]:
    """Who is blamed for what, as far as ``globs`` show it; a graph counts as shown where one of its runs is."""
    found = set()
    for blame in line["blames"]:
        graph = blame["party"].partition(">")[0]
        native = graph.partition(":")[0] == blame["party"] and blame["blame"] not in ("export", "export-failed")
        run = blame["party"] if ">" in blame["party"] else f"{graph}>ort.all"
        if not globs or native or any(fnmatchcase(run, glob) for glob in globs):
            found.add(f"{blame['blame']} {blame['party']}")
    return sorted(found)


def changed(key: str, kind: str, first: object, other: object) -> Judged:
    same = first == other
    return Judged(
        key, "invariance", kind, RIGHT if same else ALARM, "" if same else f"{first} became {other}", str(other)
    )


def judged(options: Namespace, material: Callable[..., Any], saved: Callable[..., Any]) -> Iterator[Judged]:
    yield from of_pairs(options, material, saved)
    yield from of_cases(options)


def of_cases(options: Namespace) -> Iterator[Judged]:
    files = dict.fromkeys(HEALTHY, MATERIAL / "healthy_torch.py")
    folder = options.out / "given"
    if (folder / "given.json").exists():
        files |= {name: folder / "given.py" for name in GIVEN if name in given_rows.ROWS}
    lines = Lines(options.out / "invariance-cases.jsonl")
    variants: list[tuple[str, Options]] = [
        (f"parties {' '.join(s)}", Options(parties=s, timeout=TIMEOUT)) for s in SUBSETS
    ]
    variants += [(f"seed {seed}", Options(seed=seed, timeout=TIMEOUT)) for seed in range(SEEDS)]
    variants += [(f"time {number}", Options(timeout=TIMEOUT)) for number in range(1, REPEATS)]
    names = list(files)[: options.count or None]
    for what, how in variants:
        for file in dict.fromkeys(files.values()):
            here = [n for n in names if files[n] == file]
            verify_cases(file, here, lines, how, key=lambda name, what=what: f"{name}|{what}")  # type: ignore[misc]
    for name in names:
        whole = lines.known[f"{name}|seed 0"]
        for what, how in variants:
            line = lines.known.get(f"{name}|{what}")
            if line is not None and what != "seed 0":
                kind = what.partition(" ")[0]
                yield changed(f"{name}|{what}", kind, blamed(whole, how.parties), blamed(line, how.parties))


def of_pairs(options: Namespace, material: Callable[..., Any], saved: Callable[..., Any]) -> Iterator[Judged]:
    few = Namespace(**vars(options) | {"count": options.count or COUNT})
    lines = Lines(options.out / "invariance-pairs.jsonl")
    with lasting_workers(options.out / "logs"):
        for kinds, differs in ((HIDDEN, True), (REWRITES, False)):
            for _, key, pair in material(list(kinds.values()), differs, few):
                a, b = saved(key, pair, options.out / "pairs")
                said: dict[str, Any] = {}
                for what in (
                    "plain",
                    "order",
                    *(f"seed {s}" for s in range(1, SEEDS)),
                    *(f"time {t}" for t in range(1, REPEATS)),
                ):
                    name = f"{key}|{what}"
                    if name not in lines:
                        seed = int(what.partition(" ")[2]) if what.startswith("seed") else 0
                        files = (b, a) if what == "order" else (a, b)
                        lines.add({"key": name, **compared(*files, dims=pair.sizes, seed=seed)})
                    said[what] = lines.known[name]["exit"]  # "differs" and "uncompared" both refuse
                for what, exit_status in said.items():
                    if what != "plain":
                        yield changed(f"{key}|{what}", what.partition(" ")[0], said["plain"], exit_status)
