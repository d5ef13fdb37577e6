"""How often a verdict is right: healthy models, faults that ordinary feeds do not show, rewrites that change nothing.

    .venv/bin/python scripts/judgement_benchmark.py --only hidden rewrites
    .venv/bin/python scripts/judgement_benchmark.py --only healthy --count 100 --seeds 0 1

What it saw is in ``scripts/judgement/results.md``.

``healthy``: small models of both frameworks; a blame that is not established without this project is a false alarm.
``given``: files that are not the model's.  ``hidden``: pairs of graphs that differ.  Each has a witness on which ONNX
Runtime shows it; "expected" and "same" are a false all-well.  ``rewrites``: pairs that mean the same; "differs" is a
false alarm.  ``invariance``: a sample of all, whose verdicts must not change with the parties shown, the order of the
arguments, the seed and the repetition.  ``opinfo``: samples of torch's own operator tests.

``--out`` keeps a line for each verdict (a folder outside of the repository unless one is named); what is there is not
done again.  Engines start once a batch.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import onnx

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from judgement import hidden_more, hidden_numbers, hidden_sizes, hidden_steering, invariance, rewrites, rewritten  # noqa: E402
from judgement.judged import (  # noqa: E402  # the checkout is put on the path first
    ALARM,
    ALL_WELL,
    Judged,
    of_given,
    of_healthy,
    of_hidden,
    of_rewrite,
    table,
    totals,
)
from judgement.pairs import HIDDEN, REWRITES, Kind, Pair, made  # noqa: E402
from judgement.verdicts import TIMEOUT, Lines, compared, lasting_workers, verify_cases  # noqa: E402
from onnx_triangulate.cases import catalogue  # noqa: E402
from onnx_triangulate.verification.verify import Options  # noqa: E402

MATERIAL = ROOT / "scripts" / "judgement"
MODULES = (
    hidden_more,
    hidden_numbers,
    hidden_sizes,
    hidden_steering,
    rewrites,
    rewritten,
)  # which register what they make
GROUPS = ("healthy", "given", "hidden", "rewrites", "invariance", "opinfo")
FRAMEWORKS = ("torch", "tensorflow")
BATCH = 60  # verdicts between two starts of the engines, so that one that leaks does not end the run


def sampled(names: Sequence[str], count: int, globs: Sequence[str]) -> list[str]:
    """As many names as are wanted, the same ones in every run, of every kind some."""
    wanted = [n for n in names if not globs or any(fnmatchcase(n, g) for g in globs)]
    order = np.random.default_rng(0).permutation(len(wanted))
    return [wanted[i] for i in order][: count or None]


def kind_of(name: str) -> str:
    return name.rpartition("_")[0] or name


def in_scripts(*command: str) -> None:
    """Runs one of the material's own programs, again where a case ended its process."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT / "pipeline"), str(ROOT / "scripts")))}
    for _ in range(20):
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=ROOT / "scripts",
            env=environment,
            stdout=sys.stderr,  # exporters print what they refuse
            check=False,
        )
        if not done.returncode:
            return
    raise SystemExit(f"{command[0]} ended with {done.returncode}")


def established(framework: str, file: Path, names: Sequence[str], out: Path) -> Lines:
    """What is right of the cases, by the framework and ONNX Runtime alone."""
    kept = out / "established" / f"{framework}.jsonl"
    lacking = [n for n in names if n not in Lines(kept)]
    if lacking:
        in_scripts("judgement.establish", framework, str(file), str(kept), *lacking)
    return Lines(kept)


def verified(file: Path, names: Sequence[str], lines: Lines, seed: int) -> None:
    for start in range(0, len(names), BATCH):
        options = Options(seed=seed, timeout=TIMEOUT)
        verify_cases(file, names[start : start + BATCH], lines, options, key=lambda name: f"{name}|{seed}")


def healthy(given: argparse.Namespace) -> Iterator[Judged]:
    for framework in given.frameworks:
        file = MATERIAL / f"healthy_{framework}.py"
        names = sampled([c.name for c in catalogue.load_file(file)], given.count, given.kinds)
        yield from of_cases(framework, file, names, "healthy", given)


def of_cases(
    framework: str, file: Path, names: Sequence[str], group: str, given: argparse.Namespace
) -> Iterator[Judged]:
    truth = established(framework, file, names, given.out)
    lines = Lines(given.out / f"{group}-{framework}.jsonl")
    for seed in given.seeds:
        verified(file, names, lines, seed)
        for name in names:
            line = lines.known[f"{name}|{seed}"]
            yield of_healthy(
                f"{name}|{seed} {line['note']}", f"{group} {framework}", kind_of(name), line, truth.known[name]
            )


def given_files(given: argparse.Namespace) -> Iterator[Judged]:
    folder = given.out / "given"
    in_scripts("judgement.given_files", str(folder))
    names = sampled(list(json.loads((folder / "given.json").read_text())), given.count, given.kinds)
    lines = Lines(given.out / "given.jsonl")
    for seed in given.seeds:
        verified(folder / "given.py", names, lines, seed)
        for name in names:
            line = lines.known[f"{name}|{seed}"]
            yield of_given(f"{name}|{seed} {line['note']}", kind_of(name), line)


def material(kinds: Sequence[Kind], differs: bool, given: argparse.Namespace) -> list[tuple[Kind, str, Pair]]:
    """The pairs that ONNX Runtime confirms; the others are said on standard error."""
    found = {}
    for kind in kinds:
        for key, pair, why in made(kind, 0, differs):
            if why:
                print(f"left out {key}: {why}", file=sys.stderr)
            else:
                found[key] = (kind, key, pair)
    return [found[key] for key in sampled(list(found), given.count, given.kinds)]


def saved(key: str, pair: Pair, folder: Path) -> tuple[Path, Path]:
    place = folder / key
    place.mkdir(parents=True, exist_ok=True)
    files = place / "a.onnx", place / "b.onnx"
    for model, file in zip((pair.a, pair.b), files, strict=True):
        onnx.save(model, file)
    np.savez(place / "witness.npz", **dict(pair.feed))
    return files


def pairs(group: str, given: argparse.Namespace) -> Iterator[Judged]:
    kinds = list((HIDDEN if group == "hidden" else REWRITES).values())
    lines = Lines(given.out / f"{group}.jsonl")
    with lasting_workers(given.out / "logs"):
        for kind, key, pair in material(kinds, group == "hidden", given):
            for seed in given.seeds:
                name = f"{key}|{seed}"
                if name not in lines:
                    files = saved(key, pair, given.out / group)
                    lines.add({"key": name, **compared(*files, dims=pair.sizes, seed=seed)})
                line = lines.known[name]
                if group == "hidden":
                    yield of_hidden(name, f"hidden {kind.group}", kind.name, line, pair.nan)
                else:
                    yield of_rewrite(name, f"rewrites {kind.group}", kind.name, line)


def opinfo(given: argparse.Namespace) -> Iterator[Judged]:
    folder = given.out / "opinfo"
    in_scripts("judgement.opinfo_samples", str(folder), str(given.opinfo))
    names = list(json.loads((folder / "opinfo.json").read_text()))
    yield from of_cases("torch", folder / "opinfo.py", names, "opinfo", given)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=list(GROUPS[:5]), choices=GROUPS)
    parser.add_argument("--frameworks", nargs="*", default=list(FRAMEWORKS), choices=FRAMEWORKS)
    parser.add_argument("--kinds", nargs="*", default=[], help="globs of names, such as 'scalars_*' or 'limit_lost/*'")
    parser.add_argument("--count", type=int, default=0, help="of each group, all if 0")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--opinfo", type=int, default=300, help="samples of torch's own operator tests")
    parser.add_argument("--keras", action="store_true", help="the layers of Keras alone, all of them")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "triangulate-judgement")
    parser.add_argument("--json", type=Path, help="the totals and every wrong verdict")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.keras:
        given.only, given.frameworks, given.kinds = ["healthy"], ["tensorflow"], ["keras_*"]
    run: dict[str, Callable[[], Iterator[Judged]]] = {
        "healthy": lambda: healthy(given),
        "given": lambda: given_files(given),
        "hidden": lambda: pairs("hidden", given),
        "rewrites": lambda: pairs("rewrites", given),
        "invariance": lambda: invariance.judged(given, material, saved),
        "opinfo": lambda: opinfo(given),
    }
    started = time.perf_counter()
    found = [each for group in given.only for each in run[group]()]
    print(table(found))
    print(f"{len(found)} verdicts, {time.perf_counter() - started:.0f} s in this run")
    if given.json:
        summary: dict[str, Any] = {"seeds": given.seeds, **totals(found)}
        given.json.write_text(json.dumps(summary, indent=1) + "\n")
    return 1 if any(each.word in (ALARM, ALL_WELL) for each in found) else 0


if __name__ == "__main__":
    sys.exit(main())
