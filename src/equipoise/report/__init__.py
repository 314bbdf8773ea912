"""The report: one page to send to a colleague, and the figures on it; both need Plotly and Jinja."""

from importlib.util import find_spec

from equipoise.errors import InputError

if not (find_spec("plotly") and find_spec("jinja2")):
    raise InputError("a report needs Plotly and Jinja, which are not installed; pip install 'equipoise[report]'")

from equipoise.report.figures.by_name import loads_figure, plan_figure

__all__ = ["loads_figure", "plan_figure"]
