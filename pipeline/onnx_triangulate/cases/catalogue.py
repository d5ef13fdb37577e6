"""Finds case files and refuses what would make a run lie: duplicates, emptiness, cases that contradict themselves.

A case file is loaded by its path under a private module name, so the bundled catalogue and a user's own ``models``
package never meet.  It says ``CASES = (Case(...), ...)``; its stem is the group of its cases.  The bundled catalogue
is ``models/`` of the checkout, carried inside the package in a wheel.

Modules beside a case file can be imported from it (:class:`_SiblingFinder`).  They are looked for last of all, so that
they shadow nothing, and those of one folder at a time: two folders may both hold a ``net.py``.  A user's module that
has the name of this very package is reached through the package, where that has nothing of the name that is asked
for.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import importlib.util
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from onnx_triangulate.cases import inputs
from onnx_triangulate.records import plugins
from onnx_triangulate.records.case import Absent, Case, CaseRef, Each, Expected, Tensor
from onnx_triangulate.records.errors import UnusableInput, one_line
from onnx_triangulate.records.party import FILE, Party
from onnx_triangulate.records.verdict import BLAMES

_FORMER = ("pipeline", "pipeline.data")  # the names under which case files of earlier versions found the records


@cache
def frameworks() -> tuple[str, ...]:
    """The names of all frameworks, none of which is imported.  Raises ``BrokenPlugin`` where two share a name."""
    names = plugins.bundled("onnx_triangulate.engines.frameworks")
    for entry in plugins.declared("frameworks"):
        if entry.name in names:
            raise plugins.BrokenPlugin(f"{plugins.origin(entry)}: there is another framework named {entry.name!r}")
        names.append(entry.name)
    return tuple(sorted(names))


def groups() -> Mapping[str, Path]:
    """The case files of the bundled catalogue and of users' packages, by group; none is loaded.

    Raises ``BrokenPlugin`` where two share a name, or one is no file.
    """
    found = {file.stem: file for file in _python_files(bundled())}
    for entry in plugins.declared("cases"):
        file = _file_of(entry)
        if file.stem in found:
            raise plugins.BrokenPlugin(
                f"{plugins.origin(entry)}: {file} and {found[file.stem]} share a name; rename one"
            )
        found[file.stem] = file
    return found


def _file_of(entry: EntryPoint) -> Path:
    try:
        spec = importlib.util.find_spec(entry.module)
    except (Exception, SystemExit) as error:
        raise plugins.BrokenPlugin(f"{plugins.origin(entry)}: {type(error).__name__}: {one_line(error)}") from error
    if spec is None or not spec.origin or not Path(spec.origin).is_file():
        raise plugins.BrokenPlugin(f"{plugins.origin(entry)}: there is no such module; mend or uninstall it")
    return Path(spec.origin)


def bundled() -> Path:
    """The folder of the bundled catalogue."""
    carried = Path(__file__).parents[1] / "_models"
    return carried if carried.is_dir() else Path(__file__).parents[3] / "models"


class _SiblingFinder:
    """Finds the modules beside a case file, where nobody else finds any: the last finder of ``sys.meta_path``."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._found: set[str] = set()
        self._lock = threading.RLock()

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        if path is not None or self._folder is None:  # a module of a package, which knows its own folder
            return None
        spec = PathFinder.find_spec(name, [str(self._folder)])
        if spec is not None:
            self._found.add(name)
        return spec

    def enter(self, folder: Path) -> None:
        """Look in ``folder`` from now on; what was imported from another one is imported anew when it is asked for."""
        with self._lock:
            if self not in sys.meta_path:
                sys.meta_path.append(self)
            if folder == self._folder:
                return
            for name in [name for name in sys.modules if name.partition(".")[0] in self._found]:
                del sys.modules[name]
            self._found.clear()
            self._folder = folder


_SIBLINGS = _SiblingFinder()


def load_file(file: Path) -> tuple[Case, ...]:
    """The cases of one file.  Raises :class:`UnusableInput` with one line for whatever is wrong with it."""
    _SIBLINGS.enter(file.parent)
    return _loaded(file)


@cache
def _loaded(file: Path) -> tuple[Case, ...]:
    name = f"_triangulate_cases_{hashlib.sha256(str(file).encode()).hexdigest()[:16]}_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UnusableInput(f"{file}: not a Python file; a case file is FILE.py with CASES = (Case(…), …)")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise UnusableInput(f"{file}:{error.lineno}: syntax error: {error.msg}") from error
    except UnusableInput as error:
        raise UnusableInput(f"{file}: {error}") from error
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name in _FORMER and "pipeline.data" in _source(file):
            raise UnusableInput(
                f"{file}: imports pipeline.data, this package's former name; write: from onnx_triangulate import Case"
            ) from error
        raise UnusableInput(f"{file}: raises {type(error).__name__} on loading: {one_line(error)}") from error
    cases = getattr(module, "CASES", None)
    if isinstance(cases, Case):
        cases = (cases,)
    if not isinstance(cases, Sequence) or not cases:
        raise UnusableInput(f"{file}: holds no cases; expected CASES = (Case(…), …)")
    seen: set[str] = set()
    for case in cases:
        if not isinstance(case, Case):
            raise UnusableInput(f"{file}: CASES holds a value of type {type(case).__name__}; expected Case(…)")
        _check(case, file)
        if case.name in seen:
            raise UnusableInput(f"{file}: two cases are named {case.name!r}; give each a name of its own")
        seen.add(case.name)
    return tuple(cases)


def declared(ref: CaseRef) -> Case:
    """The case a reference points to, as its file declares it."""
    for case in load_file(ref.file):
        if f"{ref.file.stem}/{case.name}" == ref.name:
            return case
    raise UnusableInput(f"{ref.file}: no case {ref.name!r}")


def load(ref: CaseRef) -> Case:
    """The case a reference points to, fed from the file and at the sizes, or with the other inputs, that it says.

    Raises :class:`UnusableInput` where the file of inputs does not fit the case.
    """
    case, given = declared(ref), ref.inputs_file
    if given is None and case.inputs_file is not None:
        given = ref.file.parent / case.inputs_file
    fed = inputs.at(case if given is None else inputs.fed_from(case, given), dict(ref.sizes))
    return fed if ref.drawn_inputs is None else inputs.drawn(case, fed, ref.name, *ref.drawn_inputs)


def find(targets: Iterable[str] = ()) -> tuple[CaseRef, ...]:
    """The cases that ``targets`` name: groups or cases of the bundled catalogue, case files, folders of case files.

    Nothing named means the whole bundled catalogue.  Order is that of the targets; a case named twice comes once.
    Raises :class:`UnusableInput` for an unknown name, an empty folder, and two files that give one name to two cases.
    """
    targets = tuple(targets)
    found: dict[str, CaseRef] = {}
    named = [_resolve(target) for target in targets] or [_refs(file) for file in groups().values()]
    for refs in named:
        for ref in refs:
            other = found.setdefault(ref.name, ref)
            if other.file != ref.file:
                raise UnusableInput(
                    f"two cases are named {ref.name!r}: in {other.file} and in {ref.file}; rename one file"
                )
    return tuple(found.values())


def left_out(targets: Iterable[str]) -> tuple[str, ...]:
    """A notice for each folder among ``targets`` of which something was left out: the Python files in its sub-folders,
    which are not looked into, and modules without cases."""
    notices = []
    for target in targets:
        path = Path(target)
        if path.is_dir() and not (bundled() / f"{target}.py").is_file():
            helpers = [file.name for file in _python_files(path) if _is_helper(file)]
            if helpers:
                notices.append(f"{target}: {', '.join(helpers)}: no CASES in it, taken for a helper of the others")
        below = [p for p in path.glob("*/**/*.py") if "__pycache__" not in p.parts] if path.is_dir() else []
        if below and not (bundled() / f"{target}.py").is_file():
            notices.append(f"{target}: {len(below)} Python files in its sub-folders were left out; name these folders")
    return tuple(notices)


def _resolve(target: str) -> tuple[CaseRef, ...]:
    if not target.strip():
        raise UnusableInput("an empty target; name a group, a case, a case file or a folder, or nothing for all")
    path = Path(target)
    file, _, wanted = target.partition("::")
    if wanted and Path(file).is_file():
        return (_one(_refs(Path(file)), f"{Path(file).stem}/{wanted}", target),)
    if path.is_dir() and (path == bundled() or not (bundled() / f"{target}.py").is_file()):
        files = [file for file in _python_files(path) if not _is_helper(file)]
        if not files:
            raise UnusableInput(f"{target}: a folder without case files; expected FILE.py with CASES = (Case(…), …)")
        return tuple(ref for f in files for ref in _refs(f))
    if path.is_file():
        return _refs(path)
    group, _, name = target.partition("/")
    file_of_group = groups().get(group)
    if target.endswith(".py") or file_of_group is None:
        raise UnusableInput(
            f"{target!r}: no such case, group, case file or folder{_near(target)}; "
            "see `triangulate list`; a case of a file is FILE.py::CASE"
        )
    refs = _refs(file_of_group)
    return (_one(refs, target, target),) if name else refs


def _python_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("*.py") if not p.name.startswith("_"))


@cache
def _is_helper(file: Path) -> bool:
    """Whether a file does not so much as name ``CASES``: a module that the case files beside it import."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return False  # loading it says what is wrong with it
    named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    named |= {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    return not named & {"CASES", "*"}


def _refs(file: Path) -> tuple[CaseRef, ...]:
    file = file.resolve()
    return tuple(CaseRef(file, f"{file.stem}/{case.name}") for case in load_file(file))


def _one(refs: Sequence[CaseRef], name: str, target: str) -> CaseRef:
    for ref in refs:
        if ref.name == name:
            return ref
    raise UnusableInput(f"{target!r}: no such case{_near(name)}; see `triangulate list`")


def _near(name: str) -> str:
    try:
        known = [ref.name for ref in find()]
    except UnusableInput:
        return ""
    close = difflib.get_close_matches(name, [*known, *{n.split("/")[0] for n in known}], n=1)
    return f", did you mean {close[0]!r}?" if close else ""


def _check(case: Case, file: Path) -> None:
    """Raise where a case contradicts itself."""
    where = f"{file}: case {case.name!r}"
    for check in _CHECKS:
        for problem in check(case):
            raise UnusableInput(f"{where}{problem}")


_FIELDS = {
    "inputs": "{'x': Tensor('n c h w', (1, 3, 8, 8))}",
    "builders": "{'torch': lambda torch: …}",
    "outputs": "{'y': Tensor('n c h w')}",
    "parameters": "{'weight': Tensor('o i', (4, 3))}",
    "dynamic": "{'n': (1, 5)}",
    "onnx": "{'torch': 'model.onnx'}",
    "expect": "{('truth', 'torch'): Expected('semantics', reason='…')}",
}


def _check_name(case: Case) -> Iterator[str]:
    if not isinstance(case.name, str) or not re.fullmatch(r"[^\s./][^\s/]*", case.name) or not case.name.isprintable():
        yield ": a case's name is one printable word without '/' that begins with no dot"


def _check_fields(case: Case) -> Iterator[str]:
    for name, example in _FIELDS.items():
        value: object = getattr(case, name)
        if not isinstance(value, Mapping):
            yield f": {name}= is of type {type(value).__name__}; expected a mapping, {name}={example}"


def _check_tags(case: Case) -> Iterator[str]:
    tags: object = case.tags
    if not isinstance(tags, tuple) or not all(isinstance(tag, str) and re.fullmatch(r"[\w-]+", tag) for tag in tags):
        yield ": its tags are no tuple of words; expected tags=('pooling',)"


def _check_builders(case: Case) -> Iterator[str]:
    if not case.builders:
        yield f": has no builders; expected {_FIELDS['builders']}"
    builders: Mapping[str, Any] = case.builders
    for framework, builder in builders.items():
        if framework not in frameworks():
            yield f": builder for {framework!r}; known frameworks: {', '.join(frameworks())}"
        if not callable(builder):
            yield f": the builder for {framework} is of type {type(builder).__name__}, not a function"


def _check_truths(case: Case) -> Iterator[str]:
    if isinstance(case.truth, Mapping) and set(case.truth) != set(case.builders):
        odd = ", ".join(sorted(set(case.truth) ^ set(case.builders)))
        yield f": builders and truths by framework differ in {odd}; give a truth for each builder"


def _check_tensors(case: Case) -> Iterator[str]:
    if not case.inputs and FILE not in case.builders:
        yield f": has no inputs; expected {_FIELDS['inputs']}"
    for kind, named in (("input", case.inputs), ("output", case.outputs)):
        for name, tensor in named.items():
            if not isinstance(tensor, Tensor) and not (kind == "output" and isinstance(tensor, Absent)):
                yield f": {kind} {name!r} is of type {type(tensor).__name__}; expected Tensor(axes, shape)"


def _check_dynamic(case: Case) -> Iterator[str]:
    """Dynamic axes are the inputs', and are given at least two more sizes each."""
    declared: dict[str, set[int]] = {axis: set() for tensor in case.inputs.values() for axis in tensor.axes.split()}
    for tensor in case.inputs.values():
        for axis, size in zip(tensor.axes.split(), tensor.shape or (), strict=False):
            declared[axis].add(size)
    fixed = {axis for t in case.parameters.values() if isinstance(t, Tensor) for axis in t.axes.split()}
    for axis, sizes in case.dynamic.items():
        yield from (f": dynamic axis {axis!r}{problem}" for problem in _check_sizes(axis, sizes, declared, fixed))
    if len({len(sizes) for sizes in case.dynamic.values()}) > 1:
        yield ": its dynamic axes are given different numbers of sizes; they change together"


def _check_sizes(axis: str, sizes: object, declared: Mapping[str, set[int]], fixed: set[str]) -> Iterator[str]:
    """What is wrong with the sizes of one dynamic axis."""
    if axis not in declared:
        yield " is no axis of its inputs"
    if axis in fixed:
        yield " is also an axis of a parameter, whose size is fixed"
    if len(declared[axis]) > 1:
        yield f" has several sizes: {sorted(declared[axis])}"
    if not isinstance(sizes, (tuple, list)) or len(sizes) < 2:
        yield f": expected at least two more sizes, {{{axis!r}: (1, 5)}}"
        return
    odd = [s for s in sizes if not isinstance(s, int) or s < 1 or {s} == declared[axis]]
    if odd or len(set(sizes)) < len(sizes):
        yield ": expected other sizes than the declared, each once"


def _check_onnx(case: Case) -> Iterator[str]:
    for name in case.onnx:
        try:
            given_graph(name, case, f": onnx={{{name!r}: …}}")
        except UnusableInput as error:
            yield str(error)


def _check_parameters(case: Case) -> Iterator[str]:
    overlap = set(case.inputs) & set(case.parameters)
    if overlap:
        yield f": {', '.join(sorted(overlap))} is both an input and a parameter"
    for name, value in case.parameters.items():
        missing = set(case.builders) - set(value.values) if isinstance(value, Each) else ()
        if missing:
            yield f": parameter {name!r} says nothing of {', '.join(sorted(missing))}"


def _check_gradient(case: Case) -> Iterator[str]:
    grad = case.gradient
    if grad is None:
        return
    if grad.cotangent not in case.inputs:
        yield f": the cotangent {grad.cotangent!r} is not an input"
    if grad.of not in case.outputs:
        yield f": the gradient is of {grad.of!r}, which is not an output"
    for name in grad.wrt:
        if name not in {*case.inputs, *case.parameters, *case.outputs}:
            yield f": gradient with respect to {name!r}: neither input, parameter nor output"
        if f"grad_{name}" not in case.outputs:
            yield f": the gradient with respect to {name!r} needs an output grad_{name}"


def _check_expectations(case: Case) -> Iterator[str]:
    declared: Mapping[Any, Any] = case.expect
    for edge, expected in declared.items():
        if not (isinstance(edge, tuple) and len(edge) == 2 and all(isinstance(p, str) for p in edge)):
            yield f": expectation {edge!r}: expected a pair of parties, ('torch', 'torch>*')"
        for one in expected if isinstance(expected, tuple) else (expected,):
            yield from (f": expectation on {edge}{problem}" for problem in _check_expected(one))


def _check_expected(expected: object) -> Iterator[str]:
    if not isinstance(expected, Expected) or not _can_be_expected(expected.blame):
        yield f": expected Expected(blame=one of {', '.join(BLAMES)})"
        return
    if not expected.reason.strip():
        yield " gives no reason"
    if expected.when is not None:
        from onnx_triangulate.cases.requirements import parsed

        try:
            parsed(expected.when, "")
        except UnusableInput as error:
            yield str(error)


def _can_be_expected(blame: str) -> bool:
    """Whether something can be blamed so: a step that a user's runtime brings has a word of its own."""
    return blame != "agree" and (blame in BLAMES or bool(plugins.declared("runtimes")))


_CHECKS: tuple[Callable[[Case], Iterator[str]], ...] = (
    _check_name,
    _check_fields,
    _check_tags,
    _check_builders,
    _check_truths,
    _check_tensors,
    _check_dynamic,
    _check_onnx,
    _check_parameters,
    _check_gradient,
    _check_expectations,
)


def given_graph(name: str, case: Case, who: str) -> str:
    """The graph that ``PARTY=FILE`` replaces: ``torch``, ``torch:raw``, ``torch:file``; ``:file`` where one framework
    is the case's only one.  Raises :class:`UnusableInput` where it is none of the case's."""
    party = Party.parse(name)
    framework = party.framework or (next(iter(case.builders)) if len(case.builders) == 1 else "")
    if framework not in case.builders or party.runtime or party.double or party.meaning:
        known = ", ".join(f"{f}, {f}:file" for f in sorted(case.builders))
        raise UnusableInput(f"{who}: {name!r} is no export of this case; expected one of {known}")
    return Party(framework, party.exporter).graph


def _source(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")
