"""The report as one HTML page that needs nothing else, no network and no script. Behind each chart stands a table."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from pilot import charts, names
from pilot.outcome import BANDS
from pilot.report import Report, broken

TEMPLATE = "page.html"

_NONE = "-"


@dataclass(frozen=True)
class Figure:
    """A chart with what it shows in words, and its numbers."""

    title: str
    says: str
    svg: Markup
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    notes: tuple[str, ...]
    legend: tuple[charts.Mark, ...] = ()


def page(made: Report) -> str:
    """The whole document."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(TEMPLATE).render(
        made=made, broken=broken(made), tiles=_tiles(made), figures=_figures(made), names=names
    )


def _tiles(made: Report) -> list[tuple[str, str, str]]:
    """Number, what it counts, and the pilot's beside it."""
    companies, exchanges = made["funnel"]["companies"], made["funnel"]["exchanges"]
    people, pilot = made["population"], made["pilot"]
    return [
        (f"{companies['registered']:,}", "companies registered", f"pilot: about {pilot['companies']}"),
        (f"{exchanges['completed']:,}", "exchanges completed", f"pilot: {pilot['exchanges']}"),
        (f"{people['countries']}", "countries", f"pilot: {pilot['countries']}"),
        (f"{people['sectors']}", "sectors", f"pilot: {pilot['sectors']}"),
        (f"{made['surveys']['submitted']:,}", "surveys answered", "all simulated"),
        (f"{sum(made['events'].values()):,}", "events published", f"on {len(made['events'])} topics"),
    ]


def _figures(made: Report) -> list[tuple[str, str, list[Figure]]]:
    """Sections: anchor, title, figures."""
    return [
        ("outcome", "What came of it", [_funnel(made), _indicators(made)]),
        ("admission", "How they came in, and who stays", [_admission(made), _interest(made)]),
        ("who", "Who took part", [_sides(made, "sector"), _sides(made, "country")]),
        ("where", "From where to where", [_matrix(made, "completed"), _matrix(made, "agreed")]),
        ("stays", "The stays", [_durations(made), _training(made)]),
        ("checklists", "Before the stays", [_checklists(made), _risks(made)]),
        ("system", "The system", [_events(made), _notices(made), _latencies(made)]),
    ]


def _funnel(made: Report) -> Figure:
    companies, exchanges, ended = (made["funnel"][part] for part in ("companies", "exchanges", "ended"))
    rows = [("companies", name, companies[code]) for code, name in names.FUNNEL.items()]
    rows += [("companies", "left the programme", companies["left"])]
    rows += [("exchanges", name, exchanges[code]) for code, name in names.STAGES.items()]
    rows += [("exchanges", f"ended: {end}", count) for end, count in ended.items()]
    return _figure(
        "From registered to surveyed",
        f"{companies['registered']} companies registered; {exchanges['proposed']} exchanges were proposed,"
        f" {exchanges['agreed']} agreed, {exchanges['completed']} completed and {exchanges['surveyed']} surveyed.",
        charts.funnel(made["funnel"]),
        ("of", "came at least as far as", "number"),
        rows,
        "Each bar counts who came at least so far. A company can have several exchanges; after a refusal its placement is"
        " proposed to somebody else, so there can be more proposals than companies. Surveyed: at least one"
        " answer is published.",
    )


def _admission(made: Report) -> Figure:
    admission = made["admission"]
    numbers, alone = admission["vat_numbers"], admission["one_person"]
    rows = [("decisions", *each) for each in admission["decisions"].items()]
    rows += [("VAT numbers, by what VIES said", *each) for each in numbers.items()]
    rows += [("firms of one person", *each) for each in alone.items()]
    away = numbers["unavailable, then valid"] + numbers["unavailable, then invalid"]
    return _figure(
        "Decisions about companies",
        f"VIES found {numbers['valid']} VAT numbers valid and {numbers['invalid']} invalid; {away} of them it could not be"
        f" asked about at first. {sum(alone.values())} firms of one person, {alone['without, at some time']} without a number"
        " at some time.",
        charts.counted(admission["decisions"]),
        ("of", "what", "number"),
        rows,
        "What the rules leave open, a contact point decides. An outage of VIES is never a refusal: it is asked again. Here a"
        " stand-in answers for it.",
    )


def _interest(made: Report) -> Figure:
    interest = made["interest"]
    return _figure(
        "Still interested after a year",
        f"{interest['asked']} companies were asked, {interest['still interested']} said yes, and the stays of"
        f" {interest['stays closed']} that were silent were closed.",
        charts.counted(interest),
        ("companies", "number"),
        list(interest.items()),
        "Asked a year after the admission or the last sign of interest; a month of silence closes what a company offers and"
        " looks for. The story may end before all are asked.",
    )


def _checklists(made: Report) -> Figure:
    items = made["checklists"]["items"]
    ticked = {name: sum(item[how] for item in items.values()) for how, name in names.TICKED.items()}
    return _figure(
        "Checklists",
        f"{sum(ticked.values())} entries on the checklists of agreed stays, {ticked['done in time']} done in time.",
        charts.counted(ticked),
        ("item", "listed", *names.TICKED.values()),
        [
            (names.CHECKLIST[item], counts["listed"], *(counts[how] for how in names.TICKED))
            for item, counts in items.items()
        ],
        "What has to be done before a stay, each with a deadline. Not legal advice.",
    )


def _risks(made: Report) -> Figure:
    risks = made["checklists"]["risks"]
    late = {names.CHECKLIST[item]: count for item, count in risks["items"].items()}
    return _figure(
        "Late, as contact points were shown",
        f"{sum(late.values())} entries of {risks['exchanges']} exchanges, the longest {risks['most_days_late']} days late.",
        charts.counted(late),
        ("item", "late when contact points asked"),
        list(late.items()),
        f"Contact points asked every Monday of the programme, {risks['asked']} times.",
    )


def _indicators(made: Report) -> Figure:
    known = [each for each in made["indicators"] if each["share"] is not None]
    within = sum(each["low"] <= each["pilot"] <= each["high"] for each in known)
    rows = [
        (
            names.indicator(each["code"]).replace(" | ", " "),
            _share(each["share"]),
            f"{_share(each['low'])} to {_share(each['high'])}",
            each["valid"],
            each["dont_know"],
            each["not_applicable"],
            _share(each["pilot"]),
        )
        for each in made["indicators"]
    ]
    return _figure(
        "Indicators: simulated answers beside the pilot's",
        f"The pilot's figure lies within the interval of {within} of the {len(rows)}.",
        charts.indicators(made["indicators"]),
        ("indicator", "share", "95% interval", "valid", "don't know", "n/a", "pilot"),
        rows,
        "The answers are simulated: what shows here is that the system asks, counts and publishes, not what companies"
        " think. Share of favourable among valid answers, with Wilson's 95% interval. The pilot published no base, so it"
        " has no interval.",
        legend=charts.INDICATOR_MARKS,
    )


def _sides(made: Report, trait: str) -> Figure:
    rows, what = (
        made[{"sector": "sectors", "country": "countries"}[trait]],
        {"sector": names.SECTORS, "country": names.COUNTRIES}[trait],
    )
    busiest = max(rows, key=lambda row: row["sent"] + row["hosted"], default=None)
    return _figure(
        {"sector": "Sectors", "country": "Countries"}[trait],
        f"{len(rows)} took part."
        + (
            f" The busiest: {what.get(busiest[trait], busiest[trait])}, {busiest['sent']} sent and {busiest['hosted']} hosted."
            if busiest
            else ""
        ),
        charts.sides(rows, trait, what),
        ("NACE" if trait == "sector" else "", trait, "companies", "sent", "hosted"),
        [(row[trait], what.get(row[trait], ""), row["companies"], row["sent"], row["hosted"]) for row in rows],
        "Travellers of completed stays, sent and hosted. In brackets: companies registered.",
        legend=charts.SIDES,
    )


def _matrix(made: Report, stage: str) -> Figure:
    pairs = [row for row in made["matrix"] if row[stage]]
    most = max(pairs, key=lambda row: row[stage], default=None)

    def name(code: str) -> str:
        return names.COUNTRIES.get(code, code)

    return _figure(
        f"Exchanges {stage}",
        f"{sum(row[stage] for row in pairs)} exchanges between {len(pairs)} pairs of countries."
        + (
            f" Most: from {name(most['sender'])} to {name(most['host'])}, {most[stage]}."
            if most and most[stage] > 1
            else ""
        ),
        charts.matrix(made["matrix"], stage),
        ("sender", "host", stage),
        [(name(row["sender"]), name(row["host"]), row[stage]) for row in pairs],
    )


def _durations(made: Report) -> Figure:
    lasted = made["durations"]
    rows = [(f"{day} days", count) for day, count in lasted["days"].items()]
    rows += [(f"nearest to {band}", count) for band, count in lasted["bands"].items()]
    return _figure(
        "How long they lasted",
        f"{sum(lasted['bands'].values())} completed stays, half of them of up to {lasted['median']:g} days."
        if lasted["days"]
        else "No stay was completed.",
        charts.durations(lasted["days"], lasted["bands"]),
        ("stay", "completed"),
        rows,
        f"Stays of 14 to 62 days, both ends included. The pilot offered {', '.join(BANDS.values())}.",
    )


def _training(made: Report) -> Figure:
    agreed, completed, hours = (made["training"][part] for part in ("agreed", "completed", "hours"))
    return _figure(
        "Who was trained",
        f"In completed stays the traveller was trained {completed['traveller']} times and the host's staff"
        f" {completed['host_staff']} times, {hours:,} hours in all.",
        charts.training({"agreed": agreed, "completed": completed}),
        ("training", "agreed", "completed"),
        [(name, agreed[code], completed[code]) for code, name in names.TRAINING.items()],
        "Every stay includes training, for the traveller or for the host's staff.",
    )


def _events(made: Report) -> Figure:
    return _figure(
        "Events on their topics",
        f"{sum(made['events'].values()):,} events in all.",
        charts.counted(made["events"]),
        ("event", "records"),
        list(made["events"].items()),
        "As a subscriber reads them from the start (read_committed).",
    )


def _notices(made: Report) -> Figure:
    told = made["notices"]
    columns = ("notices", "accepted", "refused")
    asked, accepted, refused = (sum(figures[each] for figures in told.values()) for each in columns)
    return _figure(
        "Notices by e-mail",
        f"{asked:,} notices; the mail server accepted {accepted:,} mails for them, {refused:,} were refused.",
        charts.counted({template: figures["notices"] for template, figures in told.items()}),
        ("template", "notices", "mails accepted", "refused"),
        [(template, *(figures[each] for each in columns)) for template, figures in told.items()],
        "A notice to a company is a mail to each who speaks for it. Refused are also those whose recipient has no address here.",
    )


def _latencies(made: Report) -> Figure:
    clock = made["wall_clock"]
    spreads = {code: clock["milliseconds"][code] for code in names.LATENCIES}
    rows = [
        (name, *(_ms(spreads[code][each]) for each in ("p50", "p90", "p99", "max")), spreads[code]["count"])
        for code, name in names.LATENCIES.items()
    ]
    return _figure(
        "How long people waited for the system",
        "; ".join(f"{row[0]}: half within {row[1]}, 99% within {row[3]}" for row in rows) + ".",
        charts.latencies(spreads),
        ("milliseconds", "p50", "p90", "p99", "slowest", "measured"),
        rows,
        *(f"{name}. {clock['measured'][code]}" for code, name in names.LATENCIES.items()),
        legend=charts.LATENCY_MARKS,
    )


def _figure(
    title: str,
    says: str,
    svg: str,
    columns: tuple[str, ...],
    rows: list[tuple[Any, ...]],
    *notes: str,
    legend: Mapping[str, charts.Mark] | None = None,
) -> Figure:
    """The SVG gets the title and the description that the library leaves out."""
    told = Markup('<svg role="img" aria-label="{}"').format(f"{title}. {says}")
    inside = Markup(svg.removeprefix("<svg"))  # noqa: S704 - our own drawing; Vega escapes the text in it
    return Figure(title, says, told + inside, columns, rows, notes, tuple((legend or {}).values()))


def _share(share: float | None) -> str:
    return _NONE if share is None else f"{share:.0%}"


def _ms(milliseconds: float | None) -> str:
    return _NONE if milliseconds is None else f"{milliseconds:,.0f} ms"
