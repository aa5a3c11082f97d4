"""Which version of the questionnaire a command is about."""

from collections.abc import Mapping

from survey.questionnaires.questionnaire import Questionnaire

Known = Mapping[str, Questionnaire]
"""The published ones by version, the newest last."""


class Failed(Exception):  # noqa: N818 - it says what happened
    """A command cannot do what it was asked for; the text is for people."""


def chosen(known: Known, version: str | None) -> Questionnaire:
    """The version that was asked for, or the newest.

    Raises:
        Failed: there is no such version.
    """
    if version is None:
        return list(known.values())[-1]
    if version not in known:
        raise Failed(f"no questionnaire {version} is published; there is {', '.join(known)}")
    return known[version]
