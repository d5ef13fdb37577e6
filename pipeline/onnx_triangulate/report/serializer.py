"""From a frozen record to JSON, and to the JSON Schema of what was written, by one declaration.

Design note.  A record's fields are what a document has, under their own names and with the types of their annotations.
Where a document differs from its records (a key published under another name, a field left out, one computed), a
:class:`Layout` says so once, and both the value and the schema follow it; ``scripts/write_schemas.py`` writes the
schemas and a test holds them.  JSON has no NaN and no infinities: such numbers are the texts ``"nan"``, ``"inf"`` and
``"-inf"``.  The text written is pure ASCII, so that no terminal, log or encoding can be harmed by a name.
"""

from __future__ import annotations

import json
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np

Json = dict[str, Any]

NUMBER: Json = {"$ref": "#/$defs/number"}
DISTANCE: Json = {"$ref": "#/$defs/distance"}
_LARGEST = float(np.finfo(np.float64).max)
_NUMBERS: Json = {
    "number": {
        "description": "A finite number, or the name of one that JSON cannot write.",
        "anyOf": [{"type": "number", "minimum": -_LARGEST, "maximum": _LARGEST}, {"enum": ["nan", "inf", "-inf"]}],
    },
    "distance": {
        "description": "A number that is not negative, or null where nothing was compared.",
        "anyOf": [{"type": "number", "minimum": 0, "maximum": _LARGEST}, {"enum": ["nan", "inf"]}, {"type": "null"}],
    },
}


def number(value: Any) -> int | float | str | None:
    """A number as JSON can hold it: finite as it is, else ``"nan"``, ``"inf"`` or ``"-inf"``."""
    if value is None:
        return None
    if isinstance(value, (bool, np.bool_, int, np.integer)):
        return int(value)
    value = float(value)
    return value if math.isfinite(value) else repr(value)


def to_text(document: Mapping[str, Any]) -> str:
    """A document as ASCII text.  Raises :class:`ValueError` on a NaN or an infinity that is not a text."""
    text = json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False)
    # DEL is ASCII, and ``##[`` is a command to some CI logs; both occur in strings only, where an escape may stand.
    return text.replace("\x7f", "\\u007f").replace("##", "#\\u0023") + "\n"


@dataclass(frozen=True)
class Computed:
    """A key that is no field of the record: ``get(record)``, described by an annotation or a schema."""

    type: Any
    get: Callable[[Any], Any]


@dataclass(frozen=True)
class Layout:
    """How a document writes one record: as its fields are, but for what is declared here.

    ``keys`` gives published names to fields, ``only`` or ``without`` (words) choose among them, ``computed`` adds keys.
    By key: ``about`` describes it, ``schemas`` replaces what its annotation would give (an integer counts and is not
    negative unless that says otherwise), ``optional`` (words) need not be there.  ``schema`` adds to the whole.
    """

    record: type
    name: str
    description: str = ""
    keys: Mapping[str, str] = field(default_factory=dict)
    only: str = ""
    without: str = ""
    computed: Mapping[str, Computed] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)
    schemas: Mapping[str, Json] = field(default_factory=dict)
    optional: str = ""
    schema: Json = field(default_factory=dict)

    @cached_property
    def attributes(self) -> Mapping[str, str]:
        """The fields that are written, by key."""
        chosen = self.only.split() or [f.name for f in fields(self.record) if f.name not in self.without.split()]
        return {self.keys.get(name, name): name for name in chosen}


@dataclass(frozen=True)
class Document:
    """A document with a published schema: the record at its root and the layouts of all records in it.

    ``text`` bounds foreign text, keys of mappings included.
    """

    name: str
    description: str
    layouts: tuple[Layout, ...]
    definitions: Json = field(default_factory=dict)
    text: Callable[[object], str] = str

    @cached_property
    def by_record(self) -> Mapping[type, Layout]:
        return {layout.record: layout for layout in self.layouts}

    @property
    def root(self) -> Layout:
        return self.layouts[0]

    def write(self, record: Any, folder: Path | None = None) -> Json:
        """The record as this document.  Files in ``folder`` are named relative to it."""
        return {"schema": self.name, **self._record(record, self.root, folder)}

    def _record(self, record: Any, layout: Layout, folder: Path | None) -> Json:
        made = {key: self._value(getattr(record, name), folder) for key, name in layout.attributes.items()}
        return made | {key: self._value(added.get(record), folder) for key, added in layout.computed.items()}

    def _value(self, value: Any, folder: Path | None) -> Any:
        if value is None or value is True or value is False:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, np.bool_):
            return bool(value)
        if isinstance(value, (int, float, np.number)):
            return number(value)
        if isinstance(value, (tuple, list)):
            return [self._value(each, folder) for each in value]
        if isinstance(value, Mapping):
            return {self.text(key): self._value(each, folder) for key, each in value.items()}
        if isinstance(value, Path):
            inside = folder is not None and value.is_relative_to(folder)
            return self.text(value.relative_to(folder).as_posix() if folder is not None and inside else value)
        layout = self.by_record.get(type(value)) or self._of_subclass(value)
        return self._record(value, layout, folder)

    def _of_subclass(self, value: Any) -> Layout:
        found = next((layout for record, layout in self.by_record.items() if isinstance(value, record)), None)
        if found is None:
            raise TypeError(f"{self.name}: no layout for a {type(value).__name__}; add one to its document")
        return found

    def schema(self) -> Json:
        """The JSON Schema (draft 2020-12) of what :meth:`write` gives."""
        about = {"description": self.description}
        root = self.layout_schema(self.root, {"schema": {"const": self.name}})
        name, version = self.name.split("/")
        head = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"urn:onnx-triangulate:schema:{name}:{version}",
            "title": self.name,
        }
        defined = {layout.name: self.layout_schema(layout) for layout in self.layouts[1:]}
        return {**head, **root, **about, "$defs": {**defined, **self.definitions, **_NUMBERS}}

    def layout_schema(self, layout: Layout, first: Json | None = None) -> Json:
        """The schema of one record."""
        hints = typing.get_type_hints(layout.record)
        kinds = {key: hints[name] for key, name in layout.attributes.items()}
        kinds |= {key: added.type for key, added in layout.computed.items()}
        properties = dict(first or {})
        for key, kind in kinds.items():
            described = {"description": layout.about[key]} if key in layout.about else {}
            properties[key] = described | dict(layout.schemas.get(key) or self.type_schema(kind))
        required = [key for key in properties if key not in layout.optional.split()]
        description = {"description": layout.description} if layout.description else {}
        return {**description, "type": "object", "required": required, "properties": properties, **layout.schema}

    def type_schema(self, kind: Any) -> Json:
        """The schema of an annotation."""
        origin, parts = get_origin(kind), get_args(kind)
        if isinstance(kind, Mapping):
            return dict(kind)
        if kind in _SIMPLE:
            return dict(_SIMPLE[kind])
        if kind is type(None):
            return {"type": "null"}
        if origin is Literal:
            return {"enum": list(parts)}
        if origin in (Union, types.UnionType):
            return {"anyOf": [self.type_schema(part) for part in parts]}
        if origin is tuple and parts[-1] is Ellipsis:
            return {"type": "array", "items": self.type_schema(parts[0])}
        if origin is tuple and len(set(parts)) == 1:
            return {
                "type": "array",
                "items": self.type_schema(parts[0]),
                "minItems": len(parts),
                "maxItems": len(parts),
            }
        if origin is not None and issubclass(origin, Mapping):
            return {"type": "object", "additionalProperties": self.type_schema(parts[1])}
        if is_dataclass(kind) and kind in self.by_record:
            return {"$ref": f"#/$defs/{self.by_record[kind].name}"}  # type: ignore[index]  # a type, not an instance
        raise TypeError(f"{self.name}: no schema for {kind}; give the key one of its own")


_SIMPLE: dict[Any, Json] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer", "minimum": 0},
    float: NUMBER,
    Path: {"type": "string"},
}
