"""The picture on a page with what was found: one file, read in a browser without a network.

Design note.  The page has no script and may load nothing (its own security policy says so): it is one that can be
attached to a ticket.  Tables are cut at :data:`ROWS` rows and say so; whoever needs all of them asks for ``--json``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from onnx_triangulate.records.inspection import Drawing, Inspection
from onnx_triangulate.report.inspection import effect, moved, spellings, worst_first
from onnx_triangulate.report.picture import attribute, left_out, svg
from onnx_triangulate.report.words import axes, count, size

MOST = 400
ROWS = 500
_NODES = 8
_LIMIT = 200

_STYLE = (
    'body{font:14px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;margin:24px;color:#222;'
    "background:#fff}h1{font-size:20px;margin:0 0 4px}h2{font-size:16px;margin:28px 0 6px}p{margin:2px 0}"
    "table{border-collapse:collapse}td,th{border-bottom:1px solid #ccc;padding:3px 14px 3px 0;text-align:left;"
    "vertical-align:top;overflow-wrap:anywhere}th{font-weight:600;white-space:nowrap}"
    'code{font:12px ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace}.picture{overflow:auto;'
    "border:1px solid #ccc;max-height:85vh}.error{color:#c0392b;font-weight:600}.warning{color:#8a6d00;font-weight:600}"
    ".info{color:#00735a}@media (prefers-color-scheme:dark){body{color:#eee;background:#161616}td,th{border-color:#444}"
    ".picture{border-color:#444}.error{color:#ff7a66}.warning{color:#f0e442}.info{color:#2fc49a}}"
)


def _code(value: object, limit: int = _LIMIT) -> str:
    return f"<code>{attribute(value, limit)}</code>"


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are HTML already; nothing where there are no rows."""
    if not rows:
        return ""
    head = "".join(f"<th>{attribute(text)}</th>" for text in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows[:ROWS])
    rest = f"<p>and {len(rows) - ROWS:,} more; <code>--json</code> has all</p>" if len(rows) > ROWS else ""
    return f"<h2>{attribute(title)}</h2><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{rest}"


def _nodes(names: Sequence[str]) -> str:
    shown = ", ".join(_code(name, 80) for name in names[:_NODES])
    return shown + (f" and {len(names) - _NODES:,} more" if len(names) > _NODES else "")


def _about(found: Inspection) -> Iterable[str]:
    opsets = ", ".join(f"{domain or 'opset'} {version}" for domain, version in sorted(found.opsets.items())[:8])
    yield f"{found.producer or 'no producer'} · ir {found.ir_version} · {opsets or 'no opset'}"
    ops = sorted(found.ops.items(), key=lambda item: (-item[1], item[0]))
    named = ", ".join(f"{attribute(op, 40)} {number:,}" for op, number in ops[:20])
    rest = f" and {len(ops) - 20:,} more" if len(ops) > 20 else ""
    yield f"{count(sum(found.ops.values()), 'node')}: {named}{rest}"
    yield f"{count(found.initializers, 'initializer')} with {count(found.parameters, 'parameter')}"


def page(drawing: Drawing, found: Inspection) -> str:
    """The whole page.  Raises ``MissingEngine`` where igraph is not installed."""
    producer, *holds = _about(found)
    remarks = [
        [
            f'<span class="{attribute(remark.severity)}">{attribute(remark.severity)}</span>',
            _code(remark.code, 20),
            attribute(remark.message, 600),
            _nodes(remark.nodes),
        ]
        for group in worst_first(found.diagnostics).values()
        for remark in group
    ]
    pads = [
        [_code(p.node), attribute(p.op, 40), axes(p.begin), axes(p.end), attribute(effect(p, whole=True), 400)]
        + [_code(dict(spellings(p)).get(framework, "")) for framework in ("torch", "keras")]
        for p in found.pads
    ]
    transposes = [
        [_code(t.node), attribute(axes(t.perm)), attribute(t.kind, 40), attribute(moved(t), 400)]
        for t in found.transposes
    ]
    border = [
        [kind, _code(name), _code(said)]
        for kind, values in (("input", found.inputs), ("output", found.outputs))
        for name, said in values.items()
    ]
    stored = [
        [attribute(s.dtype, 20), f"{s.tensors:,}", f"{s.elements:,}", size(s.bytes), size(s.external)]
        for s in found.stored
    ]
    reshapes = [
        [_code(r.node), attribute(r.kind), axes(r.perm or ()), attribute(r.message, 400)] for r in found.reshapes
    ]
    weights = [
        [_code(w.name), _code(w.node), attribute(w.layout, 20), attribute(w.message, 400)] for w in found.weights
    ]
    tables = [
        _table("Remarks", ("severity", "code", "what", "nodes"), remarks),
        _table("Pads", ("node", "op", "before", "after", "effect", "PyTorch", "Keras"), pads),
        _table("Transposes", ("node", "perm", "kind", "what of it"), transposes),
        _table("Reshapes", ("node", "kind", "perm", "why"), reshapes),
        _table("Stored weights", ("name", "node", "layout", "why"), weights),
        _table("Inputs and outputs", ("", "name", "type"), border),
        _table("Numbers stored", ("type", "tensors", "elements", "bytes", "in other files"), stored),
        _table("Notes", ("",), [[attribute(note, 600)] for note in found.notes]),
    ]
    rest = left_out(drawing)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">'
        f"<title>{attribute(drawing.title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{attribute(drawing.title)}</h1><p>{attribute(producer)}</p>"
        f"{''.join(f'<p>{line}</p>' for line in holds)}{f'<p>{rest}</p>' if rest else ''}"
        f'<h2>Picture</h2><div class="picture">{svg(drawing)}</div>{"".join(tables)}</body></html>\n'
    )
