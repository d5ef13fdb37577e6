"""How often the faulty node is named: faults planted into exported graphs, and controls without any.

    .venv/bin/python scripts/fault_benchmark.py --jobs 2 --json faults.json

What it saw, and why it misses what it misses, is in ``scripts/faults/results.md``.

Strata are drawn by weight, kinds within a stratum in turn, graphs and nodes at random; mutants that no runtime loads,
or that mean the same in float64, are discarded and counted.  Each mutant is judged by the graph it was made of
(``compare``) and by its framework's own values (``localize``).  ``--out`` keeps the exported graphs and one line per
trial; what is there is not done again, and the same seed gives the same trials.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from faults import graphs as exported  # noqa: E402  # the checkout is put on the path first
from faults.kinds import KINDS  # noqa: E402
from faults.report import tables  # noqa: E402
from faults.site import CONTROL, STRATA  # noqa: E402
from faults.trial import Fault, Trial, edited, run  # noqa: E402

Records = dict[str, dict[str, Any]]


class Runner:
    """Runs trials in parallel, keeps each record as a line of a file, and takes from there what was done before."""

    def __init__(self, folder: Path, jobs: int) -> None:
        self.folder, self.file = folder, folder / "trials.jsonl"
        self.done: Records = {}
        if self.file.exists():
            lines = [json.loads(line) for line in self.file.read_text().splitlines() if line.endswith("}")]
            self.done = {line["key"]: line for line in lines}
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ[name] = "1"  # what a process of the pool inherits
        context = multiprocessing.get_context("spawn")
        self.pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_modest)
        self.started = time.perf_counter()
        self.count = 0

    def __call__(self, trials: Sequence[Trial]) -> list[dict[str, Any]]:
        waiting = [trial for trial in trials if trial.key not in self.done]
        waiting.sort(key=lambda trial: trial.graph)  # a process then has its graph's values at hand
        work = functools.partial(run, folder=self.folder)
        with self.file.open("a") as out:
            for record in self.pool.map(work, waiting, chunksize=4):
                line = record.as_json()
                self.done[record.key] = json.loads(json.dumps(line))
                out.write(json.dumps(line) + "\n")
                out.flush()
                self.count += 1
                if self.count % 50 == 0:
                    print(f"  {self.count} trials, {time.perf_counter() - self.started:.0f} s", file=sys.stderr)
        return [self.done[trial.key] for trial in trials]


def _modest() -> None:
    os.nice(5)


def candidates(
    stratum: str, kinds: Sequence[str], graphs: Mapping[str, exported.Kept], seed: int, *, variants: int
) -> Iterator[Trial]:
    """Mutants of one stratum, kinds in turn, no two alike."""
    rounds = []
    for name in kinds:
        kind = KINDS[name]
        if kind.stratum != stratum:
            continue
        random = np.random.default_rng([seed, *name.encode()])
        sites: dict[str, list[str]] = {}
        for graph in graphs.values():
            nodes = [n.name for n in graph.base.nodes if not kind.ops or n.op_type in kind.ops]
            if nodes:
                sites[graph.name] = [str(n) for n in random.permutation(nodes)]
        rounds.append(_in_turn(name, sites, random, variants))
    seen: set[bytes] = set()
    while rounds:
        for source in list(rounds):
            for trial in source:
                made = _planted(graphs[trial.graph], trial.faults)
                if made is not None and made not in seen:
                    seen.add(made)
                    yield trial
                    break
            else:
                rounds.remove(source)


def _planted(graph: exported.Kept, faults: Sequence[Fault]) -> bytes | None:
    try:
        made = edited(graph, faults)
    except (ValueError, IndexError, TypeError):  # numpy's refusals where an edit does not apply after all
        return None
    return made[0].digest() if made is not None else None


def _in_turn(name: str, sites: dict[str, list[str]], random: np.random.Generator, variants: int) -> Iterator[Trial]:
    """The sites of one kind, graphs in turn."""
    order = [str(g) for g in random.permutation(sorted(sites))]
    for variant in range(variants):
        for place in range(max((len(nodes) for nodes in sites.values()), default=0)):
            for graph in order:
                if place < len(sites[graph]):
                    yield Trial(graph, (Fault(name, sites[graph][place], variant),))


def singles(
    runner: Runner, kinds: Sequence[str], graphs: Mapping[str, exported.Kept], count: int, seed: int
) -> Records:
    """Mutants with one fault, by the weights of the strata."""
    wanted = {s: w for s, w in STRATA.items() if any(KINDS[k].stratum == s for k in kinds)}
    total = sum(wanted.values())
    found: Records = {}
    for stratum, weight in wanted.items():
        quota = math.ceil(count * weight / total)
        source = candidates(stratum, kinds, graphs, seed, variants=4)
        kept = 0
        while kept < quota:
            batch = [trial for _, trial in zip(range(quota - kept), source, strict=False)]
            if not batch:
                break
            records = runner(batch)
            found |= {record["key"]: record for record in records}
            kept += sum(record["status"] in ("counted", "float32") for record in records)
    return found


def pairs(runner: Runner, alone: Records, count: int, seed: int) -> Records:
    """Mutants with two faults, of faults that show alone, at nodes that are not the same."""
    random = np.random.default_rng([seed, 2])
    known = [r for r in alone.values() if r["status"] == "counted"]
    by_graph: dict[str, list[dict[str, Any]]] = {}
    for record in known:
        by_graph.setdefault(record["key"].partition("|")[0], []).append(record)
    found: Records = {}
    kept, names = 0, sorted(by_graph)
    for _ in range(8):
        batch = []
        for number in range(count - kept if names else 0):
            graph = names[number % len(names)]
            if len(by_graph[graph]) < 2:
                continue
            one, other = (by_graph[graph][int(i)] for i in random.choice(len(by_graph[graph]), 2, replace=False))
            if not set(one["accepted"][0]) & set(other["accepted"][0]):
                faults = tuple(_fault(r["key"].split("|")[1]) for r in (one, other))
                batch.append(Trial(graph, faults))
        batch = [t for t in dict.fromkeys(batch) if t.key not in found]
        records = runner(batch)
        found |= {record["key"]: record for record in records}
        kept = sum(r["status"] in ("counted", "float32") for r in found.values())
        if kept >= count:
            break
    return found


def _fault(text: str) -> Fault:
    kind, _, rest = text.partition("@")
    node, _, variant = rest.rpartition("@")
    return Fault(kind, node, int(variant))


def controls(
    runner: Runner, kinds: Sequence[str], graphs: Mapping[str, exported.Kept], count: int, seed: int
) -> Records:
    """Graphs that mean the same, on several inputs."""
    found: Records = {}
    source = candidates(CONTROL, kinds, graphs, seed, variants=3)
    batch = [trial for _, trial in zip(range(count), source, strict=False)]
    again = [Trial(t.graph, t.faults, feeds) for feeds in (1, 2, 3) for t in batch]
    records = runner((batch + again)[:count])
    found |= {record["key"]: record for record in records}
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graphs", nargs="*", default=list(exported.GRAPHS), choices=list(exported.GRAPHS))
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--count", type=int, default=1600, help="mutants, a fifth of them with two faults")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "faults", help="graphs and records are kept there")
    parser.add_argument("--json", type=Path, help="the totals and every miss")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    graphs = exported.ready(given.graphs, given.out)
    runner = Runner(given.out, given.jobs)
    started = time.perf_counter()
    alone = singles(runner, given.kinds, graphs, math.ceil(given.count * 0.8), given.seed)
    both = pairs(runner, alone, math.ceil(given.count * 0.2), given.seed)
    healthy = controls(runner, given.kinds, graphs, math.ceil(given.count * 0.45), given.seed)
    seconds = time.perf_counter() - started
    text, summary = tables(alone, both, healthy)
    print(text)
    print(f"{len(runner.done)} trials on record, {runner.count} of them of this run, in {seconds:.0f} s")
    if given.json:
        given.json.write_text(json.dumps({"seed": given.seed, "seconds": seconds, **summary}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
