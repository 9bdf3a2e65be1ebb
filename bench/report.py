"""The comparison as tables and plots, between its marks in docs/performance.md."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib import pyplot as plt

from bench.results import RECORDED, Compared, Results, write

_PAGE: Final = Path("docs/performance.md")
_RATIOS: Final = Path("docs/plots/side_by_side.png")
_LATENCIES: Final = Path("docs/plots/latencies.png")
_START: Final = "<!-- side by side: made by bench.side_by_side -->"
_END: Final = "<!-- side by side: end -->"
_LIMIT: Final = 0.9
"""Of its core, from which on the generator of the load counts as what limits a figure."""


def record(results: Results) -> None:
    """Into the page, the plots and the JSON."""
    write(results, RECORDED)
    _plot_ratios(results.compared())
    _plot_latencies(results)
    text = _PAGE.read_text()
    head, _, rest = text.partition(_START)
    _, _, tail = rest.partition(_END)
    plots = [f"![ratios](plots/{_RATIOS.name})", f"![latencies](plots/{_LATENCIES.name})"]
    made = "\n".join([_START, "", *table(results), "", *plots, _END])
    _PAGE.write_text(f"{head}{made}{tail}")


def table(results: Results) -> list[str]:
    """All of it, in Markdown."""
    lines = [
        "| work | against | ours | theirs | ratio | of a round | aim | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in results.compared():
        row = one.row
        aim = "" if row.target is None else f"{'≤' if row.is_cost else '≥'} {row.target:g}"
        met = "" if row.target is None else "met" if row.is_met(one.ratio) else "**missed**"
        lines.append(
            f"| {row.work} | {row.against} | {_told(one.ours, row.unit)} |"
            f" {_told(one.theirs, row.unit)} | **{one.ratio:.2f}** |"
            f" {one.least:.2f} to {one.most:.2f} | {aim} | {met} |"
        )
    lines += [
        "",
        "| log to MongoDB, new records, one core | a second | per CPU second of the process |",
        "|---|---|---|",
    ]
    names = {
        "Penstock": "`penstock worker`",
        "replace": "Kafka Connect, MongoDB's sink, replacing (its default)",
        "insert": "the same, inserting (an entry that comes twice fails)",
        "Express": "kafkajs, bulk upserts",
    }
    for name, rates in results.apply.items():
        wall, cpu = rates["per_second"], rates["per_cpu_second"]
        lines.append(f"| {names[name]} | {wall:,.0f} | {cpu:,.0f} |")
    lines += ["", "| ceiling | a second | ours, of it |", "|---|---|---|"]
    lines += _ceilings(results)
    lines += ["", *_doubts(results)]
    return lines


def _ceilings(results: Results) -> list[str]:
    ours = {
        "librdkafka's producer, messages": ("put/Penstock", "single writes"),
        "insert_many of ready documents": ("", "the worker"),
        "MGET in batches of 100, keys": ("get/Penstock", "cached reads"),
        "$in in batches of 100, documents": ("get_uncached/Penstock", "uncached reads"),
    }
    lines = []
    for name, rate in results.ceilings.items():
        figure, what = ours[name]
        mine = (
            results.figures[figure]["per_second"]
            if figure
            else results.apply["Penstock"]["per_second"]
        )
        lines.append(f"| {name} | {rate:,.0f} | {what}: {mine / rate:.2f} |")
    constant = results.figures["constant/constant"]["per_second"]
    lines.append(f"| our HTTP server, a constant | {constant:,.0f} | see above |")
    return lines


def _doubts(results: Results) -> list[str]:
    """What a reader must know of the figures before believing them."""
    told = []
    for name, figure in results.figures.items():
        if figure["load_cpu"] > _LIMIT:
            told.append(f"{name}: the load's generator had {figure['load_cpu']:.0%} of its core.")
        if figure["refused"] or figure["unanswered"]:
            told.append(
                f"{name}: {figure['refused']} were refused (503), {figure['unanswered']} not"
                " answered when they were given up."
            )
    return told


def _told(value: float, unit: str) -> str:
    return f"{value:,.0f}{unit}" if unit == "/s" else f"{value:,.1f} {unit}"


def _plot_ratios(compared: list[Compared]) -> None:
    mpl.use("Agg")
    aimed = [one for one in compared if one.row.target is not None][::-1]
    aims = [one.row.target or 0.0 for one in aimed]
    figure, axis = plt.subplots(figsize=(8, 0.45 * len(aimed) + 1))
    places = range(len(aimed))
    colours = ["tab:blue" if one.row.is_met(one.ratio) else "tab:red" for one in aimed]
    axis.barh(places, [one.ratio for one in aimed], color=colours)
    for place, (one, aim) in enumerate(zip(aimed, aims, strict=True)):
        axis.plot([one.least, one.most], [place, place], color="black", linewidth=1)
        axis.plot([aim], [place], "|", color="black", markersize=14, markeredgewidth=2)
    labels = [f"{one.row.work}\n{'less' if one.row.is_cost else 'more'} is better" for one in aimed]
    axis.set_yticks(places, labels, fontsize=6)
    axis.set(xscale="log", xlabel="ours to theirs; the bar across is the aim")
    figure.tight_layout()
    _RATIOS.parent.mkdir(exist_ok=True)
    figure.savefig(_RATIOS, dpi=100)


def _plot_latencies(results: Results) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.5))
    for axis, (name, title) in zip(
        axes, (("get_p99", "cached reads"), ("put_p99", "single writes")), strict=True
    ):
        for side in ("Penstock", "Express"):
            latencies = results.figures[f"{name}/{side}"]["latencies_ms"]
            axis.plot(
                [100 * float(part) for part in latencies], list(latencies.values()), label=side
            )
        axis.set(yscale="log", xlabel="percentile", ylabel="ms", title=title)
        axis.legend()
    figure.tight_layout()
    figure.savefig(_LATENCIES, dpi=100)
