# SPDX-License-Identifier: Apache-2.0
"""Write the Grafana dashboards from ``scripts/panels.py``, or with ``--check`` prove that they are what it says."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef
from panels import BOARDS, Board, Panel

FOLDER = Path(__file__).resolve().parent.parent / "k8s/overlays/monitoring/dashboards"
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")


def render(board: Board) -> str:
    """Return a dashboard as JSON."""
    made = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.about)
        .tags(["seib-nas"])
        .readonly()
        .refresh("30s")
        .time("now-6h", "now")
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(_choice("namespace", "label_values(nas_build_info, namespace)"))
        .with_variable(_choice("pod", 'label_values(nas_build_info{namespace=~"$namespace"}, pod)'))
    )
    for number, panel in enumerate(board.panels, start=1):
        made = made.with_panel(_panel(panel).id(number))
    return JSONEncoder(sort_keys=True, indent=2).encode(made.build()) + "\n"


def _choice(name: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(name.capitalize())
        .query(query)
        .datasource(SOURCE)
        .multi(True)
        .include_all(True)
        .all_value(".*")
    )


def _panel(panel: Panel) -> stat.Panel | timeseries.Panel:
    if panel.is_figure:
        made: stat.Panel | timeseries.Panel = stat.Panel().span(4).height(4)
    else:
        legend = common.VizLegendOptions().show_legend(True)
        made = timeseries.Panel().span(12).height(8).legend(legend)
    made = made.title(panel.title).description(panel.about).unit(panel.unit).datasource(SOURCE)
    for letter, query in zip("ABCDEFGH", panel.queries, strict=False):
        target = prometheus.Dataquery().ref_id(letter).expr(query.text).datasource(SOURCE)
        made = made.with_target(target.legend_format(query.legend or panel.title))
    return made


def main() -> int:
    """Write or compare."""
    parser = argparse.ArgumentParser(description="Write the Grafana dashboards.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail when a dashboard differs")
    is_check = parser.parse_args().check
    status = 0
    for board in BOARDS:
        path = FOLDER / f"{board.uid}.json"
        if not is_check:
            path.write_text(render(board))
        elif not path.exists() or path.read_text() != render(board):
            print(f"{path.name} is not what scripts/panels.py says; run: make docs", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
