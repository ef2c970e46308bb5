"""``comparison.html``: one page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ff_mm.comparison.report.plots import Plot, inline_svg
from ff_mm.comparison.report.tables import Table
from ff_mm.comparison.report.wording import WORDS, metric_title, percent, set_title
from ff_mm.one_line import one_line

_TEMPLATE = 'page.html.j2'


def to_html(
    comparison: Mapping[str, Any], tables: Sequence[Table], plots: Sequence[Plot]
) -> str:
    """Writes a comparison as a page without scripts and outer resources.

    Args:
        comparison: As in ``comparison.json``.
        tables: Its tables.
        plots: Its plots.
    """
    return (
        _environment()
        .get_template(_TEMPLATE)
        .render(
            comparison=comparison,
            recommendation=comparison['recommendation'],
            words=WORDS,
            metric=metric_title(comparison['metric']),
            tables={table.key: table for table in tables},
            # Made of escaped text by an XML writer.
            plots=[(plot, Markup(inline_svg(plot))) for plot in plots],
        )
    )


def _shown(value: Any) -> Any:
    """A text as one line; what is markup already stays."""
    return one_line(value) if type(value) is str else value


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= dict(percent=percent, set_title=set_title)
    return environment
