"""Nobody is faulty of anything: the faulty nodes of exports and runs that nobody has touched, which must be none.

    python scripts/healthy_benchmark.py                          # the catalogue and scripts/zoo
    python scripts/healthy_benchmark.py conv2d scripts/zoo/vision.py::mobilenet_v2

For every graph that is exported and runs: each node of the export on its source's values, in float64 and in float32,
and each node of ONNX Runtime's unoptimized run on what it consumed.  A line says how many nodes were judged, how many
outputs nobody could judge, how many values the source does not have, the worst ratio to its bound, and who is faulty.
Exit status 1 if anybody is, or if nothing was judged.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from onnx_triangulate import CaseRef
from onnx_triangulate.cases import catalogue
from onnx_triangulate.engines import running
from onnx_triangulate.engines.frameworks import adapters
from onnx_triangulate.engines.workers import Workers
from onnx_triangulate.records.faults import Localization
from onnx_triangulate.records.runs import Failure, Model
from onnx_triangulate.verification import worker_tasks
from onnx_triangulate.verification.case_run import CaseRun
from onnx_triangulate.verification.diagnosis.localization import localized
from onnx_triangulate.verification.session import Options, Session

ZOO = Path(__file__).parent / "zoo"
COLUMNS = "graph                                              view    nodes judged uncomp unmap  worst  faulty   sec"


@dataclass(frozen=True)
class Line:
    """What one view of one graph came to; ``declared`` says that the case declares a fault of this graph."""

    case: str
    graph: str
    view: str
    nodes: int
    judged: int
    uncompared: tuple[str, ...]
    unmapped: int
    worst: float
    faulty: tuple[str, ...]
    seconds: float
    peak: int
    precision: str
    declared: bool = False
    problem: str | None = None

    def __str__(self) -> str:
        who = f"{self.case} {self.graph}"[:50]
        numbers = (
            f"{self.nodes:6d} {self.judged:6d} {len(self.uncompared):6d} {self.unmapped:5d} {self.worst:6.3f} "
            f"{len(self.faulty):7d} {self.seconds:6.1f}"
        )
        more = self.problem or "; ".join(self.faulty[:3]) or "; ".join(dict.fromkeys(self.uncompared))[:110]
        return f"{who:50s} {self.view:6s} {numbers}  {more}{' (declared)' if self.declared and self.faulty else ''}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("targets", nargs="*", help="as of verify; the catalogue and scripts/zoo if there are none")
    parser.add_argument("--json", type=Path, help="write the lines to this file too")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=600)
    options = parser.parse_args(arguments)
    refs = catalogue.find(options.targets or [])
    if not options.targets:
        refs = (*refs, *(ref for file in sorted(ZOO.glob("*.py")) for ref in catalogue.find([str(file)])))
    lines = []
    print(COLUMNS)
    logs = Path(tempfile.mkdtemp(prefix="healthy-logs-"))
    with Workers(jobs=1, timeout=options.timeout, memory=20 * 2**30, logs=logs, warm=running.warm) as workers:
        for ref in refs:
            for line in judged(workers, ref, options.seed):
                lines.append(line)
                print(line, flush=True)
    nodes, count = sum(line.judged for line in lines), sum(bool(line.faulty) for line in lines)
    unexpected = [line for line in lines if line.faulty and not line.declared]
    print(
        f"{len(lines)} views, {nodes} node judgements, {sum(len(x.uncompared) for x in lines)} outputs uncompared; "
        f"worst ratio {max((x.worst for x in lines), default=0):.4f}; {len(unexpected)} views with a faulty node, and "
        f"{count - len(unexpected)} where the case declares the fault"
    )
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(line) for line in lines], indent=1))
    return 1 if unexpected or not nodes else 0


def judged(workers: Workers, ref: CaseRef, seed: int) -> Iterator[Line]:
    """Both views of every graph of a case."""
    case = catalogue.load(ref)
    folder = Path(tempfile.mkdtemp(prefix="healthy-"))
    session = Session(workers, Options(seed=seed))
    try:
        for framework in sorted(case.builders):
            exporters = adapters()[framework].exporters
            found = workers.call(framework, worker_tasks.export, ref, framework, exporters, seed, folder)
            models: dict[str, Model] = {} if isinstance(found, Failure) else {m.graph: m for m in found}
            for graph, model in models.items():
                if model.error is not None or model.file is None:
                    continue
                case_run = CaseRun(ref, case, folder, seed, models=models)
                faults = {
                    e.blame for each in case.expect.values() for e in (each if isinstance(each, tuple) else (each,))
                }
                for view, blame, party in (("export", "export", graph), ("kernel", "kernel", f"{graph}>ort.off")):
                    started = time.perf_counter()
                    files = (model.weights, models["torch:raw"].file) if graph.startswith("torch") else ()
                    sources = [file for file in files if file is not None][:1]
                    answer = localized(session, case_run, blame, party, sources=sources, attribute=False)
                    if answer is not None:
                        yield line(ref.name, view, answer, time.perf_counter() - started, blame in faults)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def line(case: str, view: str, found: Localization, seconds: float, declared: bool) -> Line:
    return Line(
        case,
        found.graph,
        view,
        found.nodes,
        found.judged,
        tuple(f"{error.op}: {error.problem}" for error in found.uncompared),
        found.unmapped,
        max((error.ratio or 0.0 for error in (*found.within, *found.faults)), default=0.0),
        tuple(f"{error.op} {error.node} x{error.ratio:.3g}" for error in found.faults),
        seconds,
        found.peak,
        found.precision,
        declared,
        found.problem,
    )


if __name__ == "__main__":
    raise SystemExit(main())
