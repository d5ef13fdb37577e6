"""What a model remembers from one call to the next, by name: a digest of everything that can be read of it.

Design note.  A graph has no memory.  A model that has one answers the first call as its graph does and the second one
otherwise, and a run that builds the model anew for each call never sees it.  So one instance is asked several times,
and what it holds is looked at before and after: tensors, through the framework's own ``digest``, and the plain Python
values of modules, of other objects with attributes, and of what a function has closed over.  What cannot be read
(a lock, a file) is left out: the answers themselves are compared as well.
"""

from __future__ import annotations

import hashlib
import inspect
import types
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import Any, Protocol

import numpy as np


class Instance(Protocol):
    """A model that was built once, to be asked more than once."""

    def __call__(self, values: Mapping[str, Any], *, seed: int) -> Mapping[str, Any]:
        """What it gives for inputs in the framework's order of axes, with every generator of its framework seeded."""

    def state(self) -> Mapping[str, str]:
        """Digests of all that it holds and can be read, by name."""


Digest = Callable[[Any], bytes | None]  # of a framework's own array; None for what is none
_DEEP = 6
_MOST = 20_000  # values that are looked at, and of one container


def plain(name: str, value: Any, digest: Digest) -> dict[str, str]:
    """The digests of a value and of all that it holds, by path; nothing of what cannot be read."""
    found: dict[str, str] = {}
    for path, content in _walk(name, value, digest, set(), _DEEP):
        found.setdefault(path, content)
    return found


def closed_over(function: Any) -> dict[str, Any]:
    """What a function, or an object's method, has taken from where it was made, by name; its defaults too."""
    inner = getattr(function, "__func__", function)
    if not isinstance(inner, types.FunctionType):
        return {}
    kept = dict(inspect.getclosurevars(inner).nonlocals)
    names = inner.__code__.co_varnames[: inner.__code__.co_argcount]
    defaults = inner.__defaults__ or ()
    return kept | dict(zip(names[len(names) - len(defaults) :], defaults, strict=True))


def array_digest(array: Any) -> bytes:
    """The digest of a numpy array: its type, its shape and its bytes."""
    array = np.ascontiguousarray(array)
    head = f"{array.dtype}{array.shape}".encode()
    return hashlib.blake2b(head + b"\0" + array.reshape(-1).view(np.uint8).tobytes(), digest_size=16).digest()


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """The names of what is not as it was; what is new counts, for a model may fill what it did not have."""
    return tuple(name for name in after if before.get(name) != after[name]) + tuple(n for n in before if n not in after)


def _walk(path: str, value: Any, digest: Digest, seen: set[int], deep: int) -> Iterator[tuple[str, str]]:
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        yield path, repr(value)
        return
    if id(value) in seen or not deep or len(seen) > _MOST:
        return
    seen.add(id(value))
    own = digest(value)
    if own is not None:
        yield path, own.hex()
        return
    if isinstance(value, (np.ndarray, np.generic)):
        if value.dtype.kind != "O":
            yield path, array_digest(value).hex()
        return
    held = _held(value)
    for key, item in held.items():
        yield from _walk(f"{path}.{key}" if path else key, item, digest, seen, deep - 1)
    if isinstance(value, (Mapping, Sequence, Set)):
        yield f"{path}.len", str(len(value))


def _held(value: Any) -> Mapping[str, Any]:
    """What a container or an object holds, by name or place; a set in the order of its words."""
    try:
        if isinstance(value, Mapping):
            return {str(key): item for key, item in list(value.items())[:_MOST]}
        if isinstance(value, Set):
            return {str(i): item for i, item in enumerate(sorted(value, key=repr)[:_MOST])}
        if isinstance(value, Sequence):
            return {str(i): item for i, item in enumerate(value[:_MOST])}
        if isinstance(value, (types.FunctionType, types.MethodType)):
            return closed_over(value)
        if isinstance(value, (types.ModuleType, type)) or type(value).__module__ == "builtins":
            return {}
        return {key: item for key, item in vars(value).items() if not key.startswith("__")}
    except Exception:  # an object that will not be looked at
        return {}
