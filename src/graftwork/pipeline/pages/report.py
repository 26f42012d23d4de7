"""The report on a run's data as a page: what became of every row, with sums that a reader can follow."""

from collections.abc import Mapping
from typing import Any

from graftwork.core.units import count_text
from graftwork.pipeline.pages.flow import Flow, flow_of
from graftwork.pipeline.pages.page import rendered
from graftwork.pipeline.pages.report_parts import examples_of, lengths_of, named_bars, repairs_of, sources_of
from graftwork.pipeline.pages.words import Both, label, term

SIDES = ("train", "evaluation")


def report_page(report: Mapping[str, Any], *, name: str, quarantine: str) -> str:
    """One file of HTML that shows what `prepare` reports.

    Args:
        report: as `prepare` writes it into data/report.json. May also hold `sources`, a mapping for each file with
            `file`, `layout`, `num_rows` and `num_kept`, and `made`, what else there is to say of how it was made.
        name: of the run.
        quarantine: where the rows lie that were kept back.
    """
    flow = flow_of(report)
    personal = report["personal_data"]
    groups = examples_of(report.get("examples", ()), report["flow"])
    values = {
        "name": name,
        "quarantine": quarantine,
        "report": report,
        "headline": _headline(flow, report["num_targets_lost"]),
        "flow": flow,
        "repairs": repairs_of(report["flow"]),
        "sides": [(label(side), report[side]) for side in SIDES],
        "lengths": lengths_of(*(report[side]["lengths"] for side in SIDES)),
        "languages": named_bars("script", report["languages"]),
        "sources": sources_of(report),
        "personal": {
            "mode": term("mode", personal["mode"]),
            "is_off": personal["mode"] == "off",
            "bars": named_bars("kind", personal["kinds"]),
            "num_finds": sum(personal["kinds"].values()),
            "num_records": personal["num_records"],
            "examples": [group for group in groups if group.sort == "personal"],
        },
        "examples": [group for group in groups if group.sort != "personal"],
        "made": _made(report.get("made", {})),
    }
    return rendered("report.html", values)


def _headline(flow: Flow, num_targets_lost: int) -> Both:
    numbers = {
        "rows": count_text(flow.num_rows),
        "used": count_text(flow.num_used),
        "kept_back": count_text(flow.num_kept_back),
    }
    if num_targets_lost or not flow.adds_up:
        return label("headline_lost", **numbers)
    return label("headline" if flow.num_kept_back else "headline_all", **numbers)


def _made(told: Mapping[str, Any]) -> list[tuple[Both, Any]]:
    """What is known of how the data was made; a name without a word for it is shown as it is."""
    return [(term("made", name), value) for name, value in told.items()]
