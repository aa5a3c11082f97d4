"""The skills of the starter set, for what goes by that one whatever taxonomy is in force."""

from collections.abc import Mapping

from sojourn_contracts.taxonomy import starter

SKILLS: Mapping[str, str] = {skill.id: skill.label() for skill in starter().skills.values()}
"""Id of a skill to its English label."""
