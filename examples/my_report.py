"""A report format: the edges of a run of verify as a table, `--report csv=edges.csv`."""

import csv
import io

from onnx_triangulate.records.verdict import Report
from onnx_triangulate.report.formats import Format


def edges(report):
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(("case", "left", "right", "step", "outcome", "max_abs"))
    for verdict in report.verdicts:
        for edge in verdict.evidence.edges:
            table.writerow((verdict.case, edge.left, edge.right, edge.isolates, edge.outcome, edge.max_abs))
    return text.getvalue()


FORMAT = Format("csv", "the edges as a table", {Report: edges})
