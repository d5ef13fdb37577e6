"""Who takes part: one loader for cases, runtimes, frameworks, causes, rules, operators and reports.

Design note.  A plugin is a module.  Those of this package are the files of one folder whose names begin with no
underscore; a user's package declares its own as entry points of the group ``onnx_triangulate.KIND``, each of which
names a module.  There is no list to edit.  Two records of one name raise, naming both, and so does an empty registry: a
registry that is silently short is a check that silently did not run.  Entry points are read without importing what they
name; a plugin that cannot be imported is one line that names its distribution.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from onnx_triangulate.records.errors import UnusableInput

KINDS = ("cases", "runtimes", "frameworks", "causes", "rules", "operators", "reports")
T = TypeVar("T")
_ORIGINS: dict[str, str] = {}  # who declared a module, by its name


class BrokenPlugin(UnusableInput):
    """A plugin that cannot be imported, holds no record of its kind, or takes a name that is taken."""


@cache
def declared(kind: str) -> tuple[importlib.metadata.EntryPoint, ...]:
    """The entry points of users' packages for one of :data:`KINDS`, by name; nothing is imported."""
    assert kind in KINDS, kind
    found = importlib.metadata.entry_points(group=f"onnx_triangulate.{kind}")
    return tuple(sorted(found, key=lambda entry: (entry.name, entry.value)))


def origin(entry: importlib.metadata.EntryPoint) -> str:
    """Who declares an entry point: ``cases mine = mine.cases of mine-cases 1.0``."""
    kind = entry.group.partition(".")[2]
    who = f" of {entry.dist.name} {entry.dist.version}" if entry.dist is not None else ""
    return f"{kind} plugin {entry.name} = {entry.value}{who}"


def bundled(package: str) -> list[str]:
    """The names of the plugins in a package's own folder; the package is not imported."""
    spec = importlib.util.find_spec(package)
    folders = (spec.submodule_search_locations if spec is not None else None) or ()
    return sorted(file.stem for folder in folders for file in Path(folder).glob("[!_]*.py"))


def load(entry: importlib.metadata.EntryPoint) -> Any:
    """The module of an entry point.  Raises :class:`BrokenPlugin` for whatever it raises.

    What it prints as it is imported is for people: standard output may be a report.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            module = entry.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        text = " ".join(str(error).split())[:300]
        raise BrokenPlugin(
            f"{origin(entry)}: cannot be imported: {type(error).__name__}: {text}; mend or uninstall it"
        ) from error
    _ORIGINS[getattr(module, "__name__", entry.value)] = origin(entry)
    return module


def modules(kind: str, package: str) -> Iterator[Any]:
    """Every module of a kind: those of the package's folder, then those of users' packages."""
    for name in bundled(package):
        yield importlib.import_module(f"{package}.{name}")
    for entry in declared(kind):
        yield load(entry)


def collect(
    kind: str, holders: Iterable[Any], attribute: str, record: type[T], key: Callable[[T], str] | None = None
) -> dict[str, T]:
    """The records that modules hold as ``attribute`` (one, or a tuple of them), by their names.

    ``key`` gives a record's name, ``record.name`` where it is left out.  Raises :class:`BrokenPlugin` for a module that
    holds none, for a second record of one name, and where there are none at all.
    """
    found: dict[str, T] = {}
    origins: dict[str, str] = {}
    for holder in holders:
        held = getattr(holder, attribute, None)
        records = held if isinstance(held, tuple) else (held,)
        name_of_module = getattr(holder, "__name__", repr(holder))
        where = _ORIGINS.get(name_of_module, name_of_module)
        if not records or not all(isinstance(each, record) for each in records):
            raise BrokenPlugin(f"{where}: expected {attribute} to be a {record.__name__} or a tuple of them")
        for each in records:
            name: str = key(each) if key else cast(Any, each).name
            if name in found:
                raise BrokenPlugin(f"{where}: a second {name!r} among the {kind}, after {origins[name]}; rename one")
            found[name], origins[name] = each, where
    if not found:
        raise BrokenPlugin(f"no {kind} found: the package is incomplete")
    return found
