"""Broken models by the ten thousand, through `inspect` and through `compare A A`: nothing may break, nothing may differ
from itself.

    python scripts/fuzz.py inspect 100000 [--seed N] [--seconds S]
    python scripts/fuzz.py compare 5000 [--seed N] [--seconds S]

Design note.  The seeds are the models of ONNX's own node tests, small and of every operator.  A model is broken in its
bytes (what is then no protobuf shows the loader's part) or in its structure: a field set to a number at a limit, a name
to another's or to one that nobody would choose, an element left out, doubled or exchanged, an operator or an
attribute's type replaced.  Both commands run as a user would run them but for the start of the process: `inspect` in
batches in a process of their own, which may die; `compare` through one set of workers.  What counts as found: an
exception other than ``records.errors.UnusableInput``, a rule that fails, a message of more than one line, a
process that dies or hangs, `differs`, and a supervisor that grows.  Each is printed in one line with the seed that
makes the model again, and kept in ``--keep DIR``.  Exit status: 0 nothing found, 1 something.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

LARGEST = 1 << 14  # bytes of a seed
BATCH = 1000
HANGS = 60  # seconds
NUMBERS = (-1, 0, 1, 2, 3, 64, 65, 255, 1 << 16, (1 << 31) - 1, 1 << 31, 1 << 40, (1 << 63) - 1, -(1 << 31), -(1 << 63))
WORDS = ("", "x", "file", "allow_pickle", "../x", "a/b", "\x1b[31m", "\u202e", "::error::", "é" * 300, "Relu", "If")
WIDTHS = {"int32": 31, "uint32": 32, "uint64": 64, "int64": 63}


@cache
def seeds() -> tuple[bytes, ...]:
    """The small models of ONNX's node tests, in an order that does not change."""
    from onnx.backend.test.case.node import collect_testcases

    made: dict[str, bytes] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tests' own arithmetic
        cases = collect_testcases(None)
    for case in cases:
        content = case.model.SerializeToString() if case.model is not None else b""
        if 0 < len(content) <= LARGEST:
            made[case.name] = content
    return tuple(made[name] for name in sorted(made))


def broken(number: int) -> bytes:
    """The model of this number, which is none of the seeds."""
    choice = random.Random(number)
    made = _broken(choice)
    while made in seeds():
        made = _broken(choice)
    return made


def _broken(choice: random.Random) -> bytes:
    content = choice.choice(seeds())
    if choice.random() < 0.4:
        return _bytes(choice, content)
    import onnx

    model = onnx.ModelProto()
    model.ParseFromString(content)
    for _ in range(choice.choice((1, 1, 1, 2, 3, 8))):
        _structure(choice, model)
    return bytes(model.SerializeToString())


def _bytes(choice: random.Random, content: bytes) -> bytes:
    made = bytearray(content)
    for _ in range(choice.choice((1, 1, 2, 4, 16))):
        place, what = choice.randrange(len(made)), choice.random()
        if what < 0.6:
            made[place] = choice.choice(
                (choice.randrange(256), 0, 0xFF, 0x80, made[place] ^ (1 << choice.randrange(8)))
            )
        elif what < 0.75:
            made[place:place] = bytes(choice.randrange(256) for _ in range(choice.randrange(1, 9)))
        elif what < 0.9:
            del made[place : place + choice.randrange(1, 9)]
        else:
            other = choice.choice(seeds())
            made[place:] = other[choice.randrange(len(other)) :]
        if not made:
            made = bytearray(b"\x08")
    return bytes(made)


def _messages(message: Any) -> list[Any]:
    found: list[Any] = []
    waiting = [message]
    while waiting and len(found) < 2000:
        one = waiting.pop()
        found.append(one)
        for field, value in one.ListFields():
            if field.message_type is not None:
                waiting += list(value) if _is_repeated(value) else [value]
    return found


def _is_repeated(value: Any) -> bool:
    return hasattr(value, "__len__") and not isinstance(value, str | bytes)


def _structure(choice: random.Random, model: Any) -> None:
    """One change of one field."""
    message = choice.choice(_messages(model))
    fields = [field for field in message.DESCRIPTOR.fields if choice.random() < 0.3] or list(message.DESCRIPTOR.fields)
    field = (
        choice.choice([f for f, _ in message.ListFields()] or fields)
        if choice.random() < 0.8
        else choice.choice(fields)
    )
    value = getattr(message, field.name)
    try:
        if _is_repeated(value):
            _repeated(choice, value, field, model)
        elif field.message_type is not None:
            message.ClearField(field.name) if choice.random() < 0.5 else value.SetInParent()
        elif choice.random() < 0.1:
            message.ClearField(field.name)
        else:
            setattr(message, field.name, _scalar(choice, value, model))
    except (ValueError, TypeError):  # a number that this field does not hold
        message.ClearField(field.name)


def _repeated(choice: random.Random, value: Any, field: Any, model: Any) -> None:
    what = choice.random()
    if len(value) and what < 0.3:
        del value[choice.randrange(len(value))]
    elif len(value) and what < 0.5:
        value.append(value[choice.randrange(len(value))])
    elif len(value) > 1 and what < 0.6:
        kept = list(value)
        choice.shuffle(kept)
        del value[:]
        value.extend(kept)
    elif field.message_type is not None:
        value.add()
    elif len(value) and what < 0.9:
        place = choice.randrange(len(value))
        value[place] = _scalar(choice, value[place], model)
    else:
        value.extend([_scalar(choice, value[0] if len(value) else 0, model)] * choice.choice((1, 2, 70)))


def _scalar(choice: random.Random, value: Any, model: Any) -> Any:
    if isinstance(value, bytes):
        return choice.choice((b"", b"\xff\xfe", bytes(choice.randrange(256) for _ in range(choice.randrange(40)))))
    if isinstance(value, str):
        others = [name for node in model.graph.node for name in (*node.input, *node.output, node.op_type)]
        return choice.choice((*WORDS, *others[:50]))
    if isinstance(value, float):
        return choice.choice((0.0, -1.0, float("nan"), float("inf"), 1e38, 1e-45))
    return choice.choice((*NUMBERS, value + 1, value - 1, choice.randrange(40)))


def _looked_into(number: int, file: Path) -> str:
    """What goes wrong when a model is looked into; nothing where nothing does."""
    from onnx_triangulate.diff.differences import differences
    from onnx_triangulate.facts.model_view import viewed
    from onnx_triangulate.inspection.run import inspected
    from onnx_triangulate.records.errors import UnusableInput
    from onnx_triangulate.report.documents import as_json
    from onnx_triangulate.report.inspection import inspection_lines
    from onnx_triangulate.report.serializer import to_text

    file.write_bytes(broken(number))
    try:
        view = viewed(file)
        found = inspected(view)
        inspection_lines(found, 100)
        to_text(as_json(found))
        if number % 10 == 0:
            other = viewed(file)
            apart = differences(view, other, found, inspected(other))
            to_text(as_json(apart))
            if apart.only_left or apart.only_right or any(not d.harmless for d in apart.differences):
                return "differs from itself"
        return "; ".join(found.failed[:1])
    except UnusableInput as error:
        return "" if str(error).isprintable() else f"a refusal that is no printable line: {error!r}"


def _compared(number: int, file: Path, compare: Callable[[Path, Path], Any]) -> str:
    from onnx_triangulate.records.errors import UnusableInput

    file.write_bytes(broken(number))
    try:
        found = compare(file, file)
    except UnusableInput as error:
        if "this tool fails" in str(error):
            return str(error).partition("this tool fails")[2]
        return "" if str(error).isprintable() else f"a refusal that is no printable line: {error!r}"
    if found.outcome == "differs" and not all(g.party.endswith("ort.off") for g in found.faults):
        return "differs from itself"
    bugs = [p for p in found.problems if " tool: " in p]
    return bugs[0] if bugs else ""


def _batch(first: int, count: int) -> None:
    """In a process of its own: models one after another; what is found as lines of JSON."""
    seeds()
    with tempfile.TemporaryDirectory(prefix="triangulate-fuzz-") as folder:
        for number in range(first, first + count):
            print(json.dumps({"at": number}), flush=True)
            signal.alarm(HANGS)
            says = _safely(lambda number=number: _looked_into(number, Path(folder) / "m.onnx"))  # type: ignore[misc]
            signal.alarm(0)
            if says:
                print(json.dumps({"number": number, "says": says}), flush=True)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(json.dumps({"grown": grown}), flush=True)


def _safely(what: Callable[[], str]) -> str:
    try:
        return what()
    except Exception as error:
        import traceback

        frames = [f for f in traceback.extract_tb(error.__traceback__) if "onnx_triangulate" in f.filename]
        where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        return f"{type(error).__name__}: {' '.join(str(error).split())[:150]}{where}"


def _inspect(args: argparse.Namespace, tell: Callable[[int, str], None]) -> tuple[int, int]:
    done, grown, started = 0, 0, time.monotonic()
    while done < args.count and time.monotonic() - started < args.seconds:
        count = min(BATCH, args.count - done)
        first = args.seed * 10_000_000 + done
        words = [sys.executable, "-P", __file__, "batch", str(count), "--seed", str(first)]
        ran = subprocess.run(words, capture_output=True, text=True, check=False)
        lines = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
        for line in lines:
            if "says" in line:
                tell(line["number"], line["says"])
        grown = max([grown, *(line["grown"] for line in lines if "grown" in line)])
        last = max((line["at"] for line in lines if "at" in line), default=first)
        if ran.returncode:
            tell(last, f"the process ended with status {ran.returncode}: {ran.stderr[-200:]}")
        done += last - first + 1
    return done, grown


def _compare(args: argparse.Namespace, tell: Callable[[int, str], None]) -> tuple[int, int]:
    from onnx_triangulate.comparison.options import Options
    from onnx_triangulate.comparison.run import compare_with
    from onnx_triangulate.engines.workers import Workers

    done, started = 0, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="triangulate-fuzz-") as name:
        folder = Path(name)
        with Workers(jobs=1, timeout=20, memory=2 << 30, logs=folder / "logs") as workers:
            while done < args.count and time.monotonic() - started < args.seconds:
                number = args.seed * 10_000_000 + done
                file = folder / f"{done}.onnx"

                def compare(left: Path, right: Path, done: int = done) -> Any:
                    return compare_with(workers, left, right, Options(timeout=20, memory=2 << 30), folder / f"{done}")

                says = _safely(lambda file=file, number=number, compare=compare: _compared(number, file, compare))  # type: ignore[misc]
                if says:
                    tell(number, says)
                done += 1
    return done, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("command", choices=("inspect", "compare", "batch", "make"))
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--keep", type=Path)
    args = parser.parse_args(words)
    if args.command == "batch":
        _batch(args.seed, args.count)
        return 0
    if args.command == "make":  # one model again, on standard output
        sys.stdout.buffer.write(broken(args.count))
        return 0
    found: dict[str, list[int]] = {}

    def tell(number: int, says: str) -> None:
        if says not in found:
            print(f"{number}  {says}", flush=True)
        found.setdefault(says, []).append(number)
        if args.keep:
            args.keep.mkdir(parents=True, exist_ok=True)
            (args.keep / f"{number}.onnx").write_bytes(broken(number))

    started = time.monotonic()
    done, grown = (_inspect if args.command == "inspect" else _compare)(args, tell)
    times = sum(map(len, found.values()))
    seconds = time.monotonic() - started
    print(f"{args.command}: {done} models in {seconds:.0f} s, {times} found of {len(found)} kinds, {grown} MiB at most")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
