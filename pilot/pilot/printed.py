"""The report on a terminal, a hundred columns wide at most."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.columns import Columns
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pilot import names
from pilot.invariants import SHOWN
from pilot.report import Report

WIDTH = 100
BAR = 24
"""Characters of the longest bar."""
DOT = "·"


def show(made: Report, console: Console) -> None:
    """Prints it; it is laid out for ``WIDTH`` columns."""
    console.rule(f"[bold]Sojourn: {made['story']['companies']} companies, seed {made['story']['seed']}")
    console.print(Padding(Text(made["about"], style="dim"), (0, 0, 1, 0)))
    for beside in (
        [_funnel(made)],
        [_counts("Decisions about companies", made["admission"]["decisions"]), _numbers(made["admission"])],
        [_counts("After a year: still interested?", made["interest"])],
        [_indicators(made["indicators"])],
        [_responses(made)],
        [_sides(made["sectors"], "sector", names.SECTORS), _sides(made["countries"], "country", names.COUNTRIES)],
        [_matrix(made["matrix"])],
        [_stays(made), _counts("Exchanges that were", made["stays"])],
        [_checklists(made["checklists"])],
        [_counts("Acts of people", made["acts"]), _counts("Refused, as the rules want", made["refusals"])],
        [_notices(made["notices"])],
        [_events(made["events"]), _wall_clock(made["wall_clock"])],
        [_invariants(made["invariants"])],
    ):
        console.print(Columns(beside, padding=(0, 4)))
        console.print()
    _tell_breaches(made["invariants"], console)


def _table(title: str, *columns: str) -> Table:
    """Without headings when all columns but the first are nameless."""
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        show_header=any(columns[1:]),
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        header_style="dim",
    )
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    return table


def _funnel(made: Report) -> RenderableType:
    funnel, pilot = made["funnel"], made["pilot"]
    table = Table(
        title="From registered to surveyed", title_justify="left", title_style="bold", box=None, show_header=False
    )
    most = max(1, funnel["companies"]["registered"], funnel["exchanges"]["proposed"])
    beside = {"registered": f"pilot: about {pilot['companies']}", "completed": f"pilot: {pilot['exchanges']}"}
    for unit, names_, colour in (("companies", names.FUNNEL, "blue"), ("exchanges", names.STAGES, "yellow")):
        for number, (code, name) in enumerate(names_.items()):
            count = funnel[unit][code]
            bar = "█" * round(BAR * count / most) or ("▏" if count else "")
            told = beside.get(code, "") if (unit, code) != ("companies", "completed") else ""
            table.add_row(
                "" if number else f"[dim]{unit}[/]", name, f"{count:,}", f"[{colour}]{bar}[/]", f"[dim]{told}[/]"
            )
    ended = ", ".join(f"{count} {end}" for end, count in funnel["ended"].items())
    table.caption = f"Exchanges that ended otherwise: {ended}. Companies that left: {funnel['companies']['left']}."
    table.caption_justify = "left"
    table.columns[2].justify = "right"
    return table


def _indicators(indicators: Sequence[Mapping[str, Any]]) -> Table:
    table = _table(
        "Indicators, from simulated answers", "", "share", "95% interval", "valid", "don't know", "n/a", "pilot"
    )
    for each in indicators:
        known = each["share"] is not None
        table.add_row(
            each["code"],
            f"{each['share']:.0%}" if known else "-",
            f"{each['low']:.0%} to {each['high']:.0%}" if known else "-",
            *(str(each[name]) for name in ("valid", "dont_know", "not_applicable")),
            f"{each['pilot']:.0%}",
        )
    return table


def _responses(made: Report) -> Table:
    surveys = made["surveys"]
    table = _table("Surveys", "", "wave", "invited", "answered", "published", "withheld until there are more")
    for each in made["responses"]:
        table.add_row(each["party"], *(str(each[name]) for name in ("wave", "invited", "complete")))
    table.add_row("all", "", "", *(str(surveys[name]) for name in ("answered", "released", "withheld")))
    return table


def _sides(rows: Sequence[Mapping[str, Any]], trait: str, names_: Mapping[str, str]) -> Table:
    table = _table(f"By {trait}", "", "companies", "sent", "hosted")
    for row in rows:
        sides = (str(row[side]) if row[side] else DOT for side in ("sent", "hosted"))
        table.add_row(f"{row[trait]} {names_.get(row[trait], '')}", str(row["companies"]), *sides)
    return table


def _matrix(rows: Sequence[Mapping[str, Any]]) -> Table:
    codes = sorted({row[side] for row in rows for side in ("sender", "host")})
    completed = {(row["sender"], row["host"]): row["completed"] for row in rows}
    table = _table("Completed exchanges: sender's country down, host's across", "", *codes)
    table.padding = (0, 0)
    for sender in codes:
        counts = [completed.get((sender, host), 0) for host in codes]
        table.add_row(sender, *(f"{count:>3}" if count else f"[dim]{DOT:>3}[/]" for count in counts))
    return table


def _stays(made: Report) -> Table:
    lasted, trained = made["durations"], made["training"]
    table = _table(f"Completed stays: {trained['hours']:,} hours of training", "", "")
    for band, count in lasted["bands"].items():
        table.add_row(f"about {band}", str(count))
    for code, name in names.TRAINING.items():
        table.add_row(name, str(trained["completed"][code]))
    if made["waits"]["companies"]:
        table.add_row("Programme days to a first proposal, median", str(made["waits"]["median_days"]))
    return table


def _counts(title: str, counts: Mapping[str, int]) -> Table:
    table = _table(title, "", "")
    for name, count in counts.items():
        table.add_row(escape(name.replace("_", " ")), f"{count:,}")
    return table


def _numbers(admission: Mapping[str, Mapping[str, int]]) -> Table:
    firms = {f"one person, {name}": count for name, count in admission["one_person"].items()}
    return _counts("VAT numbers, as VIES said; firms of one person", dict(admission["vat_numbers"]) | firms)


def _checklists(checklists: Mapping[str, Any]) -> Table:
    risks = checklists["risks"]
    table = _table("Checklists", "", "listed", *names.TICKED.values(), "shown late")
    for item, counts in checklists["items"].items():
        told = (counts[how] for how in ("listed", *names.TICKED))
        table.add_row(names.CHECKLIST[item], *map(str, told), str(risks["items"].get(item, 0)))
    table.caption = (
        f"Contact points asked on {risks['asked']} Mondays, and were shown what was late in {risks['exchanges']} exchanges,"
        f" up to {risks['most_days_late']} days."
    )
    table.caption_justify = "left"
    return table


def _events(events: Mapping[str, int]) -> Table:
    return _counts("Events on their topics", dict(events) | {"in all": sum(events.values())})


def _wall_clock(figures: Mapping[str, Any]) -> Table:
    table = _table(
        f"Wall clock: {figures['events_per_second']:,.1f} events/s", "milliseconds", "p50", "p90", "p99", "max"
    )
    for name, spread in figures["milliseconds"].items():
        told = (spread[each] for each in ("p50", "p90", "p99", "max"))
        table.add_row(name.replace("_", " "), *("-" if each is None else f"{each:,.0f}" for each in told))
    for name, lasted in figures.items():
        if name.endswith("_seconds"):
            table.add_row(f"[dim]{name.removesuffix('_seconds')} took {lasted:,.0f} s[/]")
    return table


def _notices(notices: Mapping[str, Mapping[str, int]]) -> Table:
    """A notice to a company is a mail to each who speaks for it."""
    table = _table("Notices by e-mail", "", "notices", "accepted", "refused")
    for template, figures in notices.items():
        told = (figures[name] for name in ("notices", "accepted", "refused"))
        table.add_row(template.replace("_", " "), *(f"{figure:,}" for figure in told))
    return table


def _invariants(invariants: Sequence[Mapping[str, Any]]) -> Table:
    table = _table("Invariants", "", "")
    for each in invariants:
        table.add_row(escape(each["invariant"]), "[green]holds[/]" if each["holds"] else "[bold red]BROKEN[/]")
    return table


def _tell_breaches(invariants: Sequence[Mapping[str, Any]], console: Console) -> None:
    for each in invariants:
        if each["breaches"]:
            console.print(f"\nBROKEN: {each['invariant']}", style="bold red", markup=False)
        for breach in each["breaches"][:SHOWN]:
            console.print(f"  {breach}", markup=False)
        if len(each["breaches"]) > SHOWN:
            console.print(f"  and {len(each['breaches']) - SHOWN} more")
