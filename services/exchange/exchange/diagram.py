"""The life cycle as a Mermaid state diagram, drawn from its table."""

from sojourn_contracts.exchange import Stage

from exchange.domain import LIFE_CYCLE, Move


def mermaid() -> str:
    """One line for each pair of stages, with all that leads from the one to the other."""
    labels: dict[tuple[Stage, Stage], list[str]] = {}
    for move in LIFE_CYCLE:
        for stage in move.stages:
            labels.setdefault((stage, move.to or stage), []).append(_label(move))
    arrows = [f"    {stage} --> {to}: {'<br>'.join(labels[stage, to])}" for stage, to in sorted(labels, key=_place)]
    ends = [f"    {stage} --> [*]" for stage in Stage if stage.ended]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {Stage.PROPOSED}", *arrows, *ends])


def _label(move: Move) -> str:
    when = f", {move.when}" if move.when else ""
    return f"{move.command} ({', '.join(move.who)}{when})"


def _place(arrow: tuple[Stage, Stage]) -> tuple[int, int]:
    order = list(Stage)
    return order.index(arrow[0]), order.index(arrow[1])
