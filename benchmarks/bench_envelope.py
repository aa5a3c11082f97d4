"""An event to a Kafka record and back, validated, beside plain ``json`` dumps plus loads of the same object.

Over all canonical examples, each in turn with its plain rival, in CPU time: blocks of both alternate, and the ratio is that of
their medians. The rival is counted in two ways. ``ratio`` is to its data alone, though we write and read the attributes, too;
``ratio_whole`` is to data and attributes in one JSON object, as CloudEvents' structured mode has them.
"""

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from backing import report
from sojourn_contracts.envelope import decode, encode

EXAMPLES = Path(__file__).parents[1] / "contracts" / "examples"
BLOCKS = 60
BLOCK = 50
"""Calls; a block lasts about a millisecond."""


def measured(*calls: Callable[[], object]) -> list[float]:
    """Microseconds of each, the median of its blocks, which alternate with the others'."""
    seen: list[list[float]] = [[] for _ in calls]
    for _ in range(BLOCKS):
        for call, blocks in zip(calls, seen, strict=True):
            began = time.process_time_ns()
            for _ in range(BLOCK):
                call()
            blocks.append((time.process_time_ns() - began) / BLOCK / 1000)
    return [statistics.median(blocks) for blocks in seen]


def compared(path: Path) -> tuple[float, float, float]:
    """Microseconds of ours, of plain JSON of the data, and of data and attributes."""
    example = json.loads(path.read_text())
    data = example["value"]
    whole = example["headers"] | {"data": data}
    event = decode(json.dumps(data).encode(), [(name, text.encode()) for name, text in example["headers"].items()])

    def ours() -> None:
        _, value, headers = encode(event)
        decode(value, headers)

    def plain() -> None:
        json.loads(json.dumps(data).encode())

    def plain_whole() -> None:
        json.loads(json.dumps(whole).encode())

    ours_us, plain_us, whole_us = measured(ours, plain, plain_whole)
    return ours_us, plain_us, whole_us


def main() -> None:
    figures = {path.stem: compared(path) for path in sorted(EXAMPLES.glob("*.json"))}
    for name, (ours, plain, whole) in figures.items():
        print(f"{name:20} {ours:6.1f} us, {ours / plain:.2f} of its data, {ours / whole:.2f} of data and attributes")
    totals = [sum(column) for column in zip(*figures.values(), strict=True)]
    report(
        "envelope",
        {
            "encode_decode_us": totals[0] / len(figures),
            "ratio": totals[0] / totals[1],
            "ratio_whole": totals[0] / totals[2],
            "worst_ratio": max(ours / plain for ours, plain, _ in figures.values()),
            "worst_ratio_whole": max(ours / whole for ours, _, whole in figures.values()),
        },
    )


if __name__ == "__main__":
    main()
