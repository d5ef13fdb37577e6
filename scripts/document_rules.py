"""Writes the documentation of the rules of ``inspect`` from the rules themselves: ``inspection/rules/README.md``.

Run it after adding or changing a rule; a test fails where the file is not what this would write.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "pipeline" / "onnx_triangulate" / "inspection" / "rules" / "README.md"
FAMILIES = {
    "PAD": "padding of convolutions and pools",
    "LAY": "order of axes, Transposes",
    "SHP": "sizes",
    "NUM": "settings that change numbers",
    "TYP": "types",
    "STR": "structure of the graph and of the file",
    "VAL": "stored numbers",
    "EXP": "known faults of exporters",
}
HEAD = """\
# Rules

What `triangulate inspect` remarks on, one rule a file; this page is written by `scripts/document_rules.py` from them.
An **error** is a graph that is invalid or cannot mean what was wanted, a **warning** is probably unwanted, an **info**
is worth knowing. `--select` and `--ignore` take a code, the beginning of one (`PAD`), or a name;
`triangulate rule CODE` prints what stands here.

"""


def documentation() -> str:
    """The whole page."""
    from onnx_triangulate.inspection.rules import rules
    from onnx_triangulate.report.rules import example

    known = list(rules().values())
    text = HEAD + "| code | severity | name |\n|---|---|---|\n"
    text += "".join(f"| [{r.code}](#{r.code.lower()}-{r.name}) | {r.severity} | {r.name} |\n" for r in known)
    families = dict.fromkeys(r.code[:3] for r in known)
    for family in sorted(families, key=list(FAMILIES).index):
        text += f"\n## {family}: {FAMILIES[family]}\n"
        for rule in known:
            if rule.code.startswith(family):
                text += f"\n### {rule.code} {rule.name}\n\n*{rule.severity}.* {rule.about}\n\n"
                text += f"```\n{example(rule)}\n```\n"
    return text


def main() -> int:
    """Write the page."""
    FILE.write_text(documentation(), encoding="utf-8")
    print(f"{FILE.relative_to(ROOT)}: written")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
