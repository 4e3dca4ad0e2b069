"""One HTML page with everything in it: tables of the model card, pictures as data, nothing fetched."""

from __future__ import annotations

import base64
import html
import tempfile
from pathlib import Path

from facelatch_training.files import replacing
from facelatch_training.report.card import model_card
from facelatch_training.report.gather import Findings
from facelatch_training.report.plots import write_plots

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; font-size: 14px; }
td, th { border: 1px solid #ccc; padding: .25rem .6rem; text-align: left; }
img { max-width: 31rem; width: 48%; } img.wide { width: 100%; max-width: 60rem; }
pre { background: #f5f5f5; padding: .6rem; overflow-x: auto; }
"""


def write_html(findings: Findings, path: Path) -> Path:
    """The report as one file. No pictures of people are in it. Raises TrainingError when it cannot be written."""
    with tempfile.TemporaryDirectory() as folder:
        evaluations = {"model": findings.evaluation}
        if findings.peer is not None:
            evaluations["reference"] = findings.peer
        plots = [(file.stem, _image(file)) for file in write_plots(evaluations, Path(folder))]
    curves = [(f"learning curves, {stage} stage", _image(file)) for stage, file in findings.curves.items()]
    body = [
        _from_markdown(model_card(findings)),
        "<h2>Curves</h2>",
        *(f'<img alt="{html.escape(name)}" src="{data}">' for name, data in plots),
        *(f'<h3>{html.escape(name)}</h3><img class="wide" alt="" src="{data}">' for name, data in curves),
    ]
    title = html.escape(f"Facelatch: {findings.model}")
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head>\n<body>{''.join(body)}</body></html>\n"
    )
    with replacing(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return path


def _image(file: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(file.read_bytes()).decode()


def _from_markdown(text: str) -> str:
    """The few forms a model card uses: headings, tables, lists, code, paragraphs."""
    parts: list[str] = []
    for block in _blocks(text):
        lines = block.splitlines()
        if block.startswith("#"):
            level = len(block) - len(block.lstrip("#"))
            parts.append(f"<h{level}>{_inline(block.lstrip('# '))}</h{level}>")
        elif block.startswith("```"):
            parts.append(f"<pre>{html.escape(chr(10).join(lines[1:-1]))}</pre>")
        elif block.startswith("    "):
            parts.append(f"<pre>{html.escape(block.strip())}</pre>")
        elif block.startswith("|"):
            parts.append(_table(lines))
        elif block.startswith("- "):
            parts.append("<ul>" + "".join(f"<li>{_inline(line[2:])}</li>" for line in lines) + "</ul>")
        else:
            parts.append(f"<p>{_inline(block)}</p>")
    return "\n".join(parts)


def _blocks(text: str) -> list[str]:
    blocks: list[str] = []
    fenced = False
    for block in text.split("\n\n"):
        if fenced:
            blocks[-1] += "\n\n" + block
        elif block.strip():
            blocks.append(block.strip("\n"))
        fenced ^= block.count("```") % 2 == 1
    return blocks


def _table(lines: list[str]) -> str:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    head = "".join(f"<th>{_inline(cell)}</th>" for cell in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{_inline(cell)}</td>" for cell in row) + "</tr>" for row in rows[2:]
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _inline(text: str) -> str:
    pieces = html.escape(text).split("`")
    return "".join(
        f"<code>{piece}</code>" if number % 2 else piece for number, piece in enumerate(pieces)
    ).replace("**", "")
