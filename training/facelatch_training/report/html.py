"""One HTML page with everything in it: the model card, pictures as data, nothing fetched."""

from __future__ import annotations

import base64
import html
import tempfile
from pathlib import Path

from facelatch_training.files import replacing
from facelatch_training.report.card import PICTURE, model_card
from facelatch_training.report.gather import Findings
from facelatch_training.report.plots import write_plots

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; font-size: 14px; }
td, th { border: 1px solid #ccc; padding: .25rem .6rem; text-align: left; }
p img { width: 100%; max-width: 44rem; } details img { max-width: 31rem; width: 48%; }
details img.wide { width: 100%; max-width: 60rem; }
summary { font-size: 1.2rem; margin: 1rem 0; cursor: pointer; }
pre { background: #f5f5f5; padding: .6rem; overflow-x: auto; }
"""


def write_html(findings: Findings, path: Path) -> Path:
    """The report as one file. No pictures of people are in it. Raises TrainingError when it cannot be written."""
    from markdown_it import MarkdownIt

    with tempfile.TemporaryDirectory() as folder:
        plots = [(file.stem, _image(file)) for file in write_plots(findings.evaluations, Path(folder))]
    curves = [(f"learning curves, {stage} stage", _image(file)) for stage, file in findings.curves.items()]
    det = "data:image/svg+xml;base64," + base64.b64encode(findings.det.encode()).decode()
    card = MarkdownIt("commonmark").enable("table").render(model_card(findings))
    body = [
        # Markdown's reader takes no such address for a picture's.
        card.replace(f'src="{PICTURE}"', f'src="{det}"'),
        "<details><summary>More curves</summary>",
        *(f'<img alt="{html.escape(name)}" src="{data}">' for name, data in plots),
        *(f'<h3>{html.escape(name)}</h3><img class="wide" alt="" src="{data}">' for name, data in curves),
        "</details>",
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
