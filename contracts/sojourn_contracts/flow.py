"""Who produces and consumes what, drawn as SVG from the AsyncAPI document: producers, topics, consumers, from left to right.

It has a ground and colours of its own, so that it reads the same on any page; what it shows stands in tables, too.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from statistics import mean

from sojourn_contracts.schemas import Json

WIDTH, ROW, TOP = 960, 34, 56
TOPICS_AT, TOPIC_WIDE, ENDS_WIDE, HIGH = 350, 220, 150, 26
OUTSIDE = {"public": "subscribers", "analysts": "analysts, by a grant"}
"""Who reads a topic beside the services, by the topic's tag."""
COLOURS = ("#1f5fa8", "#a8481f", "#2f7d4f", "#7a3f98", "#5a5a5a", "#8a6d00")
"""Of the services, and of those outside; each on white with a contrast of at least 4.5."""
BLACK = "#1b1b1b"
Flow = tuple[str, str]
"""From a service to a topic, or from a topic to who reads it."""


def diagram(document: Json) -> str:
    """The drawing, as an element that can stand in a page or in a file of its own."""
    topics: list[str] = [channel["address"] for channel in document["channels"].values()]
    sent, received = flows(document)
    rows = {topic: TOP + ROW * number for number, topic in enumerate(topics)}
    services = list(dict.fromkeys(service for service, _ in sent))
    readers = [*services, *dict.fromkeys(reader for _, reader in received if reader not in services)]
    colours = dict(zip(readers, COLOURS, strict=True))
    left = _placed({each: [rows[topic] for service, topic in sent if service == each] for each in services}, rows)
    right = _placed({each: [rows[topic] for topic, reader in received if reader == each] for each in readers}, rows)
    starts, ends = TOPICS_AT, TOPICS_AT + TOPIC_WIDE
    lines = [_line(ENDS_WIDE + 10, left[service], starts, rows[topic], colours[service]) for service, topic in sent]
    lines += [_line(ends, rows[topic], WIDTH - ENDS_WIDE - 10, right[who], colours[who]) for topic, who in received]
    boxes = [_box(10, y, ENDS_WIDE, name, colours[name]) for name, y in left.items()]
    boxes += [_box(WIDTH - ENDS_WIDE - 10, y, ENDS_WIDE, name, colours[name]) for name, y in right.items()]
    internal = {each["address"] for each in document["channels"].values() if {"name": "internal"} in each["tags"]}
    boxes += [_box(TOPICS_AT, y, TOPIC_WIDE, topic, BLACK, topic in internal) for topic, y in rows.items()]
    heads = (
        (10, ENDS_WIDE, "sends"),
        (TOPICS_AT, TOPIC_WIDE, "topic (dashed: internal)"),
        (WIDTH - ENDS_WIDE - 10, ENDS_WIDE, "reads"),
    )
    high = TOP + ROW * len(topics) + 6
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {high}" width="{WIDTH}" height="{high}" role="img"'
        ' font-family="system-ui, sans-serif" font-size="13">\n'
        "<title>Who sends and who reads which topic</title>\n"
        f"<desc>{escape(_told(topics, sent, received))}</desc>\n"
        f'<rect width="{WIDTH}" height="{high}" rx="8" fill="#ffffff"/>\n'
        + "".join(_head(x + wide / 2, text) for x, wide, text in heads)
        + "".join(lines)
        + "".join(boxes)
        + "</svg>\n"
    )


def flows(document: Json) -> tuple[list[Flow], list[Flow]]:
    """What the operations say, in the channels' order: (service, topic) of who sends, (topic, reader) of who reads."""
    sent: list[Flow] = []
    received: list[Flow] = []
    for name, channel in document["channels"].items():
        topic = channel["address"]
        for operation in document["operations"].values():
            if operation["channel"]["$ref"] != f"#/channels/{name}":
                continue
            service = operation["tags"][0]["name"]
            if operation["action"] == "send":
                sent.append((service, topic))
            else:
                received.append((topic, service))
        received += [(topic, OUTSIDE[tag["name"]]) for tag in channel["tags"] if tag["name"] in OUTSIDE]
    return sent, received


def _placed(rows_of: Mapping[str, Sequence[int]], rows: Mapping[str, int]) -> dict[str, float]:
    """Heights at which each stands near its topics, in that order, evenly over the whole drawing."""
    ordered = sorted(rows_of, key=lambda name: mean(rows_of[name]))
    between = (max(rows.values()) - TOP) / max(1, len(ordered) - 1)
    return {name: TOP + between * number for number, name in enumerate(ordered)}


def _line(x: float, y: float, to_x: float, to_y: float, colour: str) -> str:
    middle, down = (x + to_x) / 2, HIGH / 2
    path = f"M{x:g} {y + down:g} C{middle:g} {y + down:g} {middle:g} {to_y + down:g} {to_x:g} {to_y + down:g}"
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.4" stroke-opacity="0.75"/>\n'


def _box(x: float, y: float, wide: float, text: str, colour: str, dashed: bool = False) -> str:
    dashes = ' stroke-dasharray="5 3"' if dashed else ""
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{wide:g}" height="{HIGH}" rx="5" fill="#ffffff" stroke="{colour}"{dashes}/>'
        f'<text x="{x + wide / 2:g}" y="{y + 17.5:g}" text-anchor="middle" fill="{colour}">{escape(text)}</text>\n'
    )


def _head(x: float, text: str) -> str:
    return f'<text x="{x:g}" y="32" text-anchor="middle" fill="#4f4f4f">{text}</text>\n'


def _told(topics: Sequence[str], sent: Sequence[Flow], received: Sequence[Flow]) -> str:
    return " ".join(
        f"{topic}: from {_listed(service for service, to in sent if to == topic)}"
        f" to {_listed(reader for of, reader in received if of == topic)}."
        for topic in topics
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
