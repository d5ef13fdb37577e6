"""The table of the fault benchmark: by stratum and kind, weighted totals, and every miss with its class."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from faults.site import CONTROL, STRATA

Record = Mapping[str, Any]
SIDES = ("graph", "native")
COUNTED = ("counted", "float32")


def observable(record: Record, side: str) -> bool:
    """Whether a fault shows on the feeds that this side is given."""
    feeds = ("random", "integers") if side == "graph" else ("native",)
    return record["status"] == "float32" or any(feed in record["seen"] for feed in feeds)


def verdict(record: Record, side: str) -> str:
    """``top``, ``region`` (not told apart from the faulty one), ``silent``, ``wrong`` or ``not observable``."""
    named, accepted = record[side], set(record["accepted"][0])
    if named["nodes"] and named["nodes"][0] in accepted:
        return "top"
    if named["nodes"]:
        return "region" if accepted & set(named["regions"][0]) else "wrong"
    return "silent" if observable(record, side) else "not observable"


def exact(record: Record, side: str) -> bool:
    """Whether everybody accused is faulty and every fault is named."""
    nodes, sets = set(record[side]["nodes"]), [set(a) for a in record["accepted"]]
    return nodes <= set().union(*sets) and all(nodes & accepted for accepted in sets)


def exact_by_region(record: Record, side: str) -> bool:
    """As :func:`exact`, where what a node was not told apart from counts as named."""
    named = record[side]
    groups = [{n, *region} for n, region in zip(named["nodes"], named["regions"], strict=True)]
    sets = [set(a) for a in record["accepted"]]
    return all(any(g & a for a in sets) for g in groups) and all(any(g & a for g in groups) for a in sets)


def accused(record: Record) -> list[str]:
    return [f"{side}: {', '.join(record[side]['nodes'])}" for side in SIDES if record[side]["nodes"]]


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def _row(name: str, records: Sequence[Record]) -> tuple[str, dict[str, Any]]:
    counted = [r for r in records if r["status"] in COUNTED]
    cells: dict[str, Any] = {
        "mutants": len(counted),
        "equivalent": sum(r["status"] == "equivalent" for r in records),
        "invalid": sum(r["status"] == "invalid" for r in records),
    }
    line = f"{name:<34}{cells['mutants']:>6}{cells['equivalent']:>6}{cells['invalid']:>6}"
    for side in SIDES:
        found = Counter(verdict(r, side) for r in counted)
        seen = len(counted) - found["not observable"]
        cells[side] = dict(found) | {"seen": seen, "exact": sum(exact(r, side) for r in counted)}
        line += f" |{_share(found['top'], seen):>8}{found['region']:>5}{found['wrong']:>6}{found['silent']:>7}"
        line += f"{found['not observable']:>5}"
    return line, cells


def tables(
    alone: Mapping[str, Record], both: Mapping[str, Record], healthy: Mapping[str, Record]
) -> tuple[str, dict[str, Any]]:
    """The report as text and as numbers."""
    lines = [
        f"{'one fault':<34}{'':>18} | against the same graph        | against the native model",
        f"{'':<34}{'kept':>6}{'same':>6}{'bad':>6}"
        + f" |{'top-1':>8}{'reg':>5}{'wrong':>6}{'silent':>7}{'n/o':>5}" * 2,
    ]
    summary: dict[str, Any] = {"strata": {}, "kinds": {}, "misses": [], "false_alarms": []}
    by_kind: dict[str, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in alone.values():
        by_kind[record["stratum"]][record["key"].split("|")[1].partition("@")[0]].append(record)
    for stratum, kinds in by_kind.items():
        line, summary["strata"][stratum] = _row(stratum, [r for rs in kinds.values() for r in rs])
        lines.append(line)
        for kind, records in kinds.items():
            line, summary["kinds"][kind] = _row(f"  {kind}", records)
            lines.append(line)
    line, summary["all"] = _row("all", list(alone.values()))
    lines += [line, ""]
    for side in SIDES:
        rates = {
            s: (row[side].get("top", 0), row[side].get("top", 0) + row[side].get("region", 0), row[side]["seen"])
            for s, row in summary["strata"].items()
            if row[side]["seen"]
        }
        total = sum(STRATA[s] for s in rates)
        top, near = (sum(STRATA[s] * rate[i] / rate[2] for s, rate in rates.items()) for i in (0, 1))
        summary[f"weighted_{side}"] = {"top": top / total if total else 0, "region": near / total if total else 0}
        where = "the same graph" if side == "graph" else "the native model"
        lines.append(
            f"top-1 against {where}, weighted by stratum: {_share(top, total)} (with region {_share(near, total)})"
        )
    kept = [r for r in both.values() if r["status"] in COUNTED]
    for side in SIDES:
        seen = [r for r in kept if side == "graph" or "native" in r["seen"]]
        right, near = sum(exact(r, side) for r in seen), sum(exact_by_region(r, side) for r in seen)
        summary[f"two_{side}"] = {"mutants": len(seen), "exact": right, "by_region": near}
        lines.append(
            f"two faults, {side}: exact set {right} of {len(seen)} ({_share(right, len(seen))}); "
            f"with region {near} ({_share(near, len(seen))})"
        )
    files = [r for r in alone.values() if r["status"] in COUNTED and r.get("given")]
    found = Counter(verdict(r, "given") for r in files)
    two = [r for r in kept if r.get("given") and "native" in r["seen"]]
    right, seen_alone = sum(exact(r, "given") for r in two), len(files) - found["not observable"]
    summary["given"] = {**found, "seen": seen_alone, "two": len(two), "two_exact": right}
    lines.append(
        f"as a given file, beside a fresh export: top-1 {found['top']} of {seen_alone} "
        f"({_share(found['top'], seen_alone)}); two faults, exact set {right} of {len(two)} ({_share(right, len(two))})"
    )
    quiet = [r for r in healthy.values() if r["status"] in COUNTED]
    alarms = [r for r in quiet if accused(r)]
    troubled = [r for r in quiet if any(r[side]["problem"] for side in SIDES)]
    discarded = Counter(f"{r['status']}: {r['says'][:80]}" for r in healthy.values() if r["status"] not in COUNTED)
    odd = [r for r in quiet if r["seen"]]
    counted = len(kept) + summary["all"]["mutants"]
    lines.append(
        f"controls: {len(quiet)} ({_share(len(quiet), len(quiet) + counted)} of all), false alarms {len(alarms)}, "
        f"not judged whole {len(troubled)}; {counted} mutants"
    )
    lines += [f"  {n} controls discarded: {why}" for why, n in discarded.most_common()]
    lines += [f"  control is no control in float64 ({r['far']:.1g}): {r['key']}" for r in odd[:20]]
    lines += [f"  false alarm: {r['key']}: {'; '.join(accused(r))}" for r in alarms]
    lines += [f"  not judged: {r['key']}: {r['graph']['problem'] or r['native']['problem']}" for r in troubled[:20]]
    lines += ["", "misses"]
    for record in (*alone.values(), *both.values()):
        if record["status"] not in COUNTED:
            continue
        for side in SIDES:
            if side == "native" and len(record["accepted"]) > 1 and "native" not in record["seen"]:
                continue
            single = len(record["accepted"]) == 1
            what = verdict(record, side) if single else ("top" if exact(record, side) else "not exact")
            if what in ("top", "not observable"):
                continue
            named = record[side]
            miss = {
                "key": record["key"],
                "side": side,
                "verdict": what,
                "accepted": record["accepted"],
                "far": record["far"],
                **named,
            }
            summary["misses"].append(miss)
            said = ", ".join(
                f"{n} ({r:.2g}){'+' + str(len(g)) if g else ''}"
                for n, r, g in zip(named["nodes"][:4], named["ratios"][:4], named["regions"][:4], strict=True)
            )
            due = " / ".join(",".join(a[:4]) for a in record["accepted"])
            why = f"; {named['problem']}" if named["problem"] else ""
            lines.append(
                f"  {side:<6} {what:<9} {record['key']}: due {due}; named {said or 'nobody'}; "
                f"far {record['far']:.1e}{why}"
            )
    summary["false_alarms"] = [r["key"] for r in alarms]
    return "\n".join(lines), summary


__all__ = ["CONTROL", "exact", "observable", "tables", "verdict"]
