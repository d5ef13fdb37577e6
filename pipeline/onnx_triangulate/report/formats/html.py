"""The picture on a page with what was found: one file, read in a browser without a network.

Design note.  The page has no script and may load nothing (its own security policy says so): it is one that can be
attached to a ticket.  Every name is bounded and made visible by ``records.text`` and escaped by Jinja.  Tables are cut
at :data:`ROWS` rows and say so; whoever needs all of them asks for ``--json``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from onnx_triangulate.records.inspection import Inspection, Picture
from onnx_triangulate.records.text import safe
from onnx_triangulate.report.formats import Format
from onnx_triangulate.report.inspection import effect, moved, spellings, worst_first
from onnx_triangulate.report.picture import MOST, left_out, require_engine, svg
from onnx_triangulate.report.quantities import axes, count, size

ROWS = 500
_NODES = 8
_TEMPLATE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<title>{{ title | bounded(300) }}</title><style>
body{font:14px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;margin:24px;color:#222;
background:#fff}
h1{font-size:20px;margin:0 0 4px}h2{font-size:16px;margin:28px 0 6px}p{margin:2px 0}table{border-collapse:collapse}
td,th{border-bottom:1px solid #ccc;padding:3px 14px 3px 0;text-align:left;vertical-align:top;overflow-wrap:anywhere}
th{font-weight:600;white-space:nowrap}code{font:12px ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace}
.picture{overflow:auto;border:1px solid #ccc;max-height:85vh}
.error{color:#c0392b;font-weight:600}.warning{color:#8a6d00;font-weight:600}.info{color:#00735a}
@media (prefers-color-scheme:dark){body{color:#eee;background:#161616}td,th{border-color:#444}
.picture{border-color:#444}
.error{color:#ff7a66}.warning{color:#f0e442}.info{color:#2fc49a}}
</style></head><body>
<h1>{{ title | bounded(300) }}</h1>
{% for line in about %}<p>{{ line | bounded(2000) }}</p>
{% endfor %}<h2>Picture</h2><div class="picture">{{ picture }}</div>
{% for name, heads, rows in tables if rows %}<h2>{{ name }}</h2><table><thead><tr>
{%- for head in heads %}<th>{{ head }}</th>{% endfor %}</tr></thead><tbody>
{% for row in rows[:most] %}<tr>{% for cell in row %}<td>
{%- if cell is string %}{{ cell | bounded(600) }}{% elif cell.severity %}
{#- #}<span class="{{ cell.severity }}">{{ cell.severity }}</span>{% else %}
{%- for code in cell.codes %}<code>{{ code | bounded(cell.limit) }}</code>{{ ", " if not loop.last }}{% endfor %}
{%- if cell.more %} and {{ "{:,}".format(cell.more) }} more{% endif %}{% endif %}</td>{% endfor %}</tr>
{% endfor %}</tbody></table>
{% if rows | length > most %}<p>and {{ "{:,}".format(rows | length - most) }} more; <code>--json</code> has all</p>
{% endif %}{% endfor %}</body></html>
"""

Cell = str | dict[str, Any]


def _environment() -> Any:
    import jinja2

    made = jinja2.Environment(autoescape=True)
    made.filters["bounded"] = safe
    return made


def _code(*names: str | None, limit: int = 200) -> Cell:
    """Names as the file has them: the first few, and how many more there are."""
    shown = [name or "" for name in names[:_NODES]]
    return {"codes": shown, "more": len(names) - len(shown), "limit": limit}


def _about(found: Inspection) -> Iterable[str]:
    opsets = ", ".join(f"{domain or 'opset'} {version}" for domain, version in sorted(found.opsets.items())[:8])
    yield safe(f"{found.producer or 'no producer'} · ir {found.ir_version} · {opsets or 'no opset'}", 300)
    ops = sorted(found.ops.items(), key=lambda item: (-item[1], item[0]))
    named = ", ".join(f"{safe(op, 40)} {number:,}" for op, number in ops[:20])
    rest = f" and {len(ops) - 20:,} more" if len(ops) > 20 else ""
    yield f"{count(sum(found.ops.values()), 'node')}: {named}{rest}"
    yield f"{count(found.initializers, 'initializer')} with {count(found.parameters, 'parameter')}"


def _tables(found: Inspection) -> Iterable[tuple[str, Sequence[str], Sequence[Sequence[Cell]]]]:
    """Every table: its name, its heads, its rows."""
    yield (
        "Remarks",
        ("severity", "code", "what", "nodes"),
        [
            [{"severity": d.severity}, _code(d.code, limit=20), d.message, _code(*d.nodes, limit=80)]
            for group in worst_first(found.diagnostics).values()
            for d in group
        ],
    )
    yield (
        "Pads",
        ("node", "op", "before", "after", "effect", "PyTorch", "Keras"),
        [
            [_code(p.node), safe(p.op, 40), axes(p.begin), axes(p.end), safe(effect(p, whole=True), 400)]
            + [_code(dict(spellings(p)).get(framework)) for framework in ("torch", "keras")]
            for p in found.pads
        ],
    )
    yield (
        "Transposes",
        ("node", "perm", "kind", "what of it"),
        [[_code(t.node), axes(t.perm), safe(t.kind, 40), safe(moved(t), 400)] for t in found.transposes],
    )
    yield (
        "Reshapes",
        ("node", "kind", "perm", "why"),
        [[_code(r.node), r.kind, axes(r.perm or ()), safe(r.message, 400)] for r in found.reshapes],
    )
    yield (
        "Stored weights",
        ("name", "node", "layout", "why"),
        [[_code(w.name), _code(w.node), safe(w.layout, 20), safe(w.message, 400)] for w in found.weights],
    )
    yield (
        "Inputs and outputs",
        ("", "name", "type"),
        [
            [kind, _code(name), _code(said)]
            for kind, values in (("input", found.inputs), ("output", found.outputs))
            for name, said in values.items()
        ],
    )
    yield (
        "Numbers stored",
        ("type", "tensors", "elements", "bytes", "in other files"),
        [
            [safe(s.dtype, 20), f"{s.tensors:,}", f"{s.elements:,}", size(s.bytes), size(s.external)]
            for s in found.stored
        ],
    )
    yield "Notes", ("",), [[note] for note in found.notes]


def page(picture: Picture) -> str:
    """The whole page.  Raises ``MissingEngine`` where igraph is not installed."""
    from markupsafe import Markup

    drawing, found = picture.drawing, picture.inspection
    text: str = (
        _environment()
        .from_string(_TEMPLATE)
        .render(
            title=drawing.title,
            about=[*_about(found), *filter(None, [left_out(drawing)])],
            picture=Markup(svg(drawing)),  # noqa: S704  # escaped where it is made
            tables=list(_tables(found)),
            most=ROWS,
        )
    )
    return text + "\n"


FORMAT = Format("html", "the picture on a page with what was found", {Picture: page}, MOST, require_engine)
