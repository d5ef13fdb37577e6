"""Right or wrong: what was said of a piece of material against what is established of it, and the table of both."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from judgement.pairs import APART, NEAR

Line = Mapping[str, Any]
NEAR_IN_HALF = 5e-3  # ten steps of float16, of the largest value
HALVES = ("half", "float16")  # words of the lines that compute in 16 bits
OF_ITS_TYPE = ("finfo", "dtype.min", "nan_to_num")  # in float64 these are another program, which says nothing
RIGHT, ALARM, ALL_WELL, UNDECIDED, LISTED = "right", "false alarm", "false all-well", "undecided", "listed"


@dataclass(frozen=True)
class Judged:
    """A verdict judged: ``word`` is one of the five above, ``why`` what was said and what is right."""

    key: str
    group: str
    kind: str
    word: str
    why: str = ""
    says: str = ""


def _exporter(party: str, known: Iterable[str]) -> str:
    """The exporter whose graph a party runs, as it was established: ``torch:raw`` is the same as ``torch`` there."""
    graph = party.partition(">")[0]
    return graph if graph in known else graph.partition(":")[0]


def _number(value: Any) -> float:
    """How far; 0 where it is no number."""
    return float(value) if isinstance(value, (int, float)) else 0.0


def tolerance(name: str, note: str) -> float:
    """How far a right answer may be off: steps of the type that a model computes in."""
    return NEAR_IN_HALF if "halves" in name or any(word in note for word in HALVES) else NEAR


def settled(truth: Line, note: str) -> Line:
    """What is established, without a float64 run that is another program."""
    return {**truth, "double": None} if any(word in note for word in OF_ITS_TYPE) else truth


def excused(blame: Line, truth: Line, near: float = NEAR) -> bool:
    """Whether a blame is right by what was established without this project."""
    exports = truth["exports"]
    export = exports.get(_exporter(blame["party"], exports), {})
    runtime, evaluator = export.get("runtime"), export.get("evaluator")
    word = blame["blame"]
    if word == "export-failed":
        return "refused" in export or "checker" in export or isinstance(runtime, str)
    if word == "unsupported":
        refused = evaluator if ">reference" in blame["party"] else runtime
        return isinstance(refused, str)
    if word in ("export", "kernel", "optimizer", "unspecified"):
        return _number(runtime) > near
    if word == "reference":
        return isinstance(evaluator, str) or _number(evaluator) > near
    if word in ("native", "conditioning"):
        return _number(truth.get("double")) > near
    return word == "nondeterministic" and _number(truth.get("itself")) > 0


# What four digits do not show, looked at by hand in the exported graph.
BY_HAND = {
    "t.sqrt(x * x + 1e-12)": "the optimizer of torch's exporter drops the Add of 1e-12",
    "x.double() * 0.1": "0.1 is float32 in the graph and double in torch",
    "F.pairwise_distance(x, y)": "TorchScript's exporter drops the epsilon of 1e-6",
}


def unhealthy(truth: Line, note: str = "", near: float = NEAR) -> str:
    """Why a model is no healthy one; nothing where it is."""
    if note in BY_HAND:
        return BY_HAND[note]
    if truth.get("failed") or truth.get("died"):
        return f"not established: {truth.get('failed', 'it ends the process')}"
    if _number(truth.get("itself")) > 0:
        return "the framework does not agree with itself"
    if _number(truth.get("double")) > near:
        return f"the framework in float32 and in float64 are {truth['double']:.2g} apart"
    first: Line = next(iter(truth["exports"].values()), {})
    if "refused" in first:
        return f"the exporter refuses: {first['refused']}"
    if "checker" in first:
        return f"the checker refuses: {first['checker']}"
    if isinstance(first.get("runtime"), str):
        return f"ONNX Runtime refuses: {first['runtime']}"
    far = {name: _number(e.get("runtime")) for name, e in truth["exports"].items()}
    parted = {name: value for name, value in far.items() if value > near}
    return "; ".join(f"{name} is {value:.2g} apart in ONNX Runtime" for name, value in parted.items())


def said(line: Line) -> str:
    """A verdict of ``verify`` in one line."""
    blames = defaultdict(list)
    for blame in line["blames"]:
        blames[blame["blame"]].append(blame["party"])
    words = "; ".join(f"{word}: {', '.join(sorted(set(who)))}" for word, who in sorted(blames.items()))
    return " ".join(filter(None, (line["status"], words or " ".join(line["words"]), *line["problems"]))).strip()


def of_healthy(key: str, group: str, kind: str, line: Line, truth: Line) -> Judged:
    """A model that is healthy, or of which it is established that it is not."""
    says, note = said(line), line.get("note", "")
    near, truth = tolerance(key, note), settled(truth, note)
    why = unhealthy(truth, note, near)
    if why:
        clear = line["status"] == "expected" and not line["blames"]
        far = max((_number(e.get("runtime")) for e in truth["exports"].values()), default=0.0)
        broken = far > APART or any("refused" in e for e in truth["exports"].values())
        lost = clear and broken and not truth.get("failed") and not truth.get("died")
        return Judged(key, group, kind, ALL_WELL if lost else LISTED, why, says)
    false = [b for b in line["blames"] if not excused(b, truth, near)]
    if false:
        who = "; ".join(f"{b['blame']} {b['party']}: {b['says'][:120]}" for b in false[:3])
        return Judged(key, group, kind, ALARM, who, says)
    if line["problems"] or (line["status"] == "undecided" and not line["blames"]):
        return Judged(key, group, kind, UNDECIDED, "; ".join((*line["problems"], *line["missing"]))[:300], says)
    return Judged(key, group, kind, RIGHT, "", says)


def of_given(key: str, kind: str, line: Line) -> Judged:
    """A given file that is not the model's."""
    says = said(line)
    if line["status"] == "expected":
        return Judged(key, "given", kind, ALL_WELL, "the witness parts the file from a right one", says)
    if line["problems"]:
        return Judged(key, "given", kind, UNDECIDED, "; ".join(line["problems"])[:300], says)
    return Judged(key, "given", kind, RIGHT, "", says)


def compared(line: Line) -> str:
    faulty = ", ".join(f"{g['op']} {g['party']}" for g in line["guilty"][:2])
    return " ".join(
        filter(None, (line["status"], line.get("grade", ""), faulty, "; ".join(line["problems"][:2])[:240]))
    )


def of_hidden(key: str, group: str, kind: str, line: Line, nan: bool) -> Judged:
    """A pair that differs where ordinary feeds do not look; one of NaN alone may be the same but for NaN."""
    says = compared(line)
    if line["status"] == "tool":
        return Judged(key, group, kind, UNDECIDED, "the tool failed", says)
    if line["exit"] == 0 and not (nan and "nan" in says.lower()):
        return Judged(key, group, kind, ALL_WELL, "the witness parts the two", says)
    return Judged(key, group, kind, RIGHT, "", says)


def of_rewrite(key: str, group: str, kind: str, line: Line) -> Judged:
    """A pair that means the same."""
    says = compared(line)
    if line["exit"] == 0:
        return Judged(key, group, kind, RIGHT, "", says)
    word = ALARM if line["status"] == "differs" else UNDECIDED
    return Judged(key, group, kind, word, "ONNX Runtime gives the same for both", says)


def table(judged: Sequence[Judged]) -> str:
    """By group and kind: how many, and what was wrong; then every wrong verdict."""
    words = (ALARM, ALL_WELL, UNDECIDED, LISTED)
    head = f"{'':<34}{'number':>7}{'right':>7}" + "".join(f"{w:>16}" for w in words)
    lines = [head]
    by: dict[str, dict[str, list[Judged]]] = defaultdict(lambda: defaultdict(list))
    for each in judged:
        by[each.group][each.kind].append(each)
    for group, kinds in sorted(by.items()):
        lines.append(_row(group, [j for js in kinds.values() for j in js], words))
        lines += [_row(f"  {kind}", js, words) for kind, js in sorted(kinds.items())]
    lines.append("")
    wrong = [j for j in judged if j.word in (ALARM, ALL_WELL, UNDECIDED)]
    lines += [
        f"{j.word:<15} {j.key}: {j.says[:200]} | {j.why[:200]}" for j in sorted(wrong, key=lambda j: (j.word, j.key))
    ]
    return "\n".join(lines)


def _row(name: str, judged: Sequence[Judged], words: Sequence[str]) -> str:
    found = Counter(j.word for j in judged)
    return f"{name:<34}{len(judged) - found[LISTED]:>7}{found[RIGHT]:>7}" + "".join(f"{found[w]:>16}" for w in words)


def totals(judged: Sequence[Judged]) -> dict[str, Any]:
    """The same as numbers."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for each in judged:
        found[each.group][each.word] += 1
    wrong = [asdict(j) for j in judged if j.word not in (RIGHT, LISTED)]
    return {
        "groups": {g: dict(c) for g, c in found.items()},
        "wrong": wrong,
        "listed": [asdict(j) for j in judged if j.word == LISTED],
    }
