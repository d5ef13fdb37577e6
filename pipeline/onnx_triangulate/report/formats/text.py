"""The reports as the terminal shows them, 100 columns wide and without colour."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text

from onnx_triangulate.records.graph_comparison import GraphComparison
from onnx_triangulate.records.inspection import Differences, Inspection
from onnx_triangulate.records.verdict import Report
from onnx_triangulate.report import terminal
from onnx_triangulate.report.comparison import comparison_lines
from onnx_triangulate.report.differences import differences_lines
from onnx_triangulate.report.formats import Format
from onnx_triangulate.report.inspection import inspection_lines


def _plain(lines: Iterable[Text]) -> str:
    return "".join(line.plain + "\n" for line in lines)


FORMAT = Format(
    "text",
    "the report as the terminal shows it, without colour",
    {
        Report: lambda report: _plain(terminal.lines(report)),
        GraphComparison: lambda found: _plain(comparison_lines(found)),
        Inspection: lambda found: _plain(inspection_lines(found)),
        Differences: lambda found: _plain(differences_lines(found)),
    },
)
