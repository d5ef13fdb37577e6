"""A party: one way to get the answer, whose name is its path."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache

from onnx_triangulate.records.errors import UnusableInput

FILE = "onnx"  # the "framework" of ONNX files: nothing is exported, the graph is its own source
_PARTY = re.compile(
    r"^(?P<framework>(?:[a-z][a-z0-9_]*)?)(?::(?P<exporter>[a-z][a-z0-9_]*))?"
    r"(?:>(?P<runtime>[a-z][a-z0-9._-]*))?(?P<double>@64)?$"
)


@dataclass(frozen=True, order=True)
class Party:
    """One way to get the answer, ``FRAMEWORK[:EXPORTER][>RUNTIME][@64]``; without a runtime it is the native run.

    ``truth`` and ``truth@FRAMEWORK`` are parties too (``framework="truth"``, ``meaning`` the framework), and so is
    ``truth@torch(tensorflow)``: what torch means, with TensorFlow's parameters."""

    framework: str
    exporter: str = ""
    runtime: str = ""
    double: bool = False
    meaning: str = ""
    parameters: str = ""

    @staticmethod
    @cache
    def parse(text: str) -> Party:
        """Read a party's name.  Raises :class:`UnusableInput` where it is not one."""
        if text == "truth":
            return Party("truth")
        if text.startswith("truth@"):
            meaning, _, given = text.removeprefix("truth@").rstrip(")").partition("(")
            return Party("truth", meaning=meaning, parameters=given)
        match = _PARTY.match(text)
        if match is None or not (match["framework"] or match["exporter"]):
            raise UnusableInput(
                f"party {text!r}: expected FRAMEWORK[:EXPORTER][>RUNTIME][@64], such as torch:raw>ort.off"
            )
        return Party(match["framework"], match["exporter"] or "", match["runtime"] or "", bool(match["double"]))

    def __str__(self) -> str:
        if self.framework == "truth":
            given = f"({self.parameters})" if self.parameters else ""
            return f"truth@{self.meaning}{given}" if self.meaning else "truth"
        runtime = f">{self.runtime}" if self.runtime else ""
        return f"{self.graph}{runtime}{'@64' if self.double else ''}"

    @property
    def graph(self) -> str:
        """The name of the exported graph this party runs: ``torch:raw``.  For a native run, its framework's name."""
        return f"{self.framework}:{self.exporter}" if self.exporter else self.framework

    @property
    def native(self) -> bool:
        return not self.runtime and self.framework != "truth"

    @property
    def is_own_source(self) -> bool:
        """Whether the graph of this party is the model itself: nobody has exported it."""
        return self.framework == FILE

    @property
    def is_truth(self) -> bool:
        return self.framework == "truth"

    @property
    def source(self) -> Party:
        """The native run of this party's framework, in the same precision."""
        return Party(self.framework, double=self.double)

    @property
    def in_float64(self) -> Party:
        return replace(self, double=True)

    def on(self, runtime: str, *, double: bool = False) -> Party:
        """The same graph, run by a runtime."""
        return replace(self, runtime=runtime, double=double)

    @property
    def item(self) -> str:
        """What a worker is asked for to run this party's graph: the runtime and its precision, ``reference@64``."""
        return f"{self.runtime}{'@64' if self.double else ''}"

    @property
    def slug(self) -> str:
        """The party's name as a file name."""
        return str(self).replace(":", ".").replace(">", "+").replace("(", ".").replace(")", "")
