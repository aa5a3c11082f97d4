"""Finds the skills that somebody may mean who types a few letters: in labels, synonyms and the occupations that need them.

Pure, and in memory: a taxonomy changes by a restart.
"""

import re
import unicodedata
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, chain
from operator import itemgetter

from sojourn_contracts.taxonomy import Concept, Taxonomy

_WORD = re.compile(r"[\w+#]+")
"""With C++ and C# as words."""
_UNDECOMPOSED = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ħ": "h", "\u0131": "i", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d"}
)
_AFTER_ALL = "\U0010ffff"
_MANY = 2_000


def words(text: str) -> list[str]:
    """The words of a text without case and accents; what has neither letters nor digits is no word."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(character for character in plain if not unicodedata.combining(character))
    return [word for word in _WORD.findall(bare.translate(_UNDECOMPOSED)) if word.strip("+#_")]


@dataclass(frozen=True)
class Found:
    """A skill, and what led to it if that was not its label."""

    skill: str
    synonym: str | None = None
    occupation: str | None = None
    """The label of one that cannot do without the skill."""


class SkillSearch:
    """The search in one taxonomy, in each of its languages."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        self._taxonomy = taxonomy
        self._skills = {language: _Index(taxonomy.skills, language) for language in taxonomy.languages}
        self._occupations = {language: _Index(taxonomy.occupations, language) for language in taxonomy.languages}

    def best(self, query: str, limit: int, language: str) -> list[Found]:
        """The best matches, best first, at most ``limit``.

        Every word of the query has to begin a word of a skill's label, or of one of its synonyms. Best is the label itself, then
        a label that begins like the query, a synonym that does, a label with the words further on, and a synonym with them.
        Shorter ones come first, then it goes by id. Where that does not fill the list, occupations found in the same way
        bring their essential skills.

        Raises:
            KeyError: the taxonomy does not have the language.
        """
        typed = words(query)
        found: dict[str, Found] = {}
        for skill, synonym in self._skills[language].matches(typed):
            found.setdefault(skill, Found(skill, synonym))
            if len(found) == limit:
                return list(found.values())
        for occupation, _ in self._occupations[language].matches(typed):
            concept = self._taxonomy.occupations[occupation]
            for skill in concept.essential:
                found.setdefault(skill, Found(skill, occupation=concept.label(language)))
                if len(found) == limit:
                    return list(found.values())
        return list(found.values())


class _Index:
    """The texts of concepts in one language, numbered by rank: labels before synonyms, shorter ones first, then by id."""

    def __init__(self, concepts: Mapping[str, Concept], language: str) -> None:
        texts = [
            (synonym is not None, len(spelt), concept.id, synonym, spelt)
            for concept in concepts.values()
            for synonym in (None, *concept.synonyms.get(language, ()))
            for spelt in (f" {' '.join(words(synonym or concept.label(language)))}",)
        ]
        texts.sort(key=itemgetter(0, 1, 2))
        self._concepts = [concept for _, _, concept, _, _ in texts]
        self._synonyms = [synonym for *_, synonym, _ in texts]
        self._spelt = [spelt for *_, spelt in texts]
        self._texts = _Prefixes((spelt, number) for number, spelt in enumerate(self._spelt))
        self._words = _Prefixes((word, number) for number, spelt in enumerate(self._spelt) for word in {*spelt.split()})

    def matches(self, typed: Sequence[str]) -> Iterator[tuple[str, str | None]]:
        """Ids of concepts, with the synonym that matched if it was one, best first; a concept may come again.

        Found as far as it is asked for: a single letter begins a word of tens of thousands of texts.
        """
        if not typed:
            return
        for number in self._texts.of(f" {' '.join(typed)}"):
            yield self._concepts[number], self._synonyms[number]
        rarest = min(typed, key=self._words.count)
        others = [f" {word}" for word in typed if word is not rarest]
        for number in self._words.of(rarest):
            spelt = self._spelt[number]
            for other in others:
                if other not in spelt:
                    break
            else:
                yield self._concepts[number], self._synonyms[number]


class _Prefixes:
    """Keys in order, each with its numbers: which numbers have keys that begin in some way is one range."""

    def __init__(self, pairs: Iterable[tuple[str, int]]) -> None:
        numbers: dict[str, list[int]] = {}
        for key, number in pairs:
            numbers.setdefault(key, []).append(number)
        self._keys = sorted(numbers)
        self._numbers = array("I", chain.from_iterable(numbers[key] for key in self._keys))
        self._kept: dict[str, array[int]] = {}
        self._ends = array("I", accumulate((len(numbers[key]) for key in self._keys), initial=0))

    def of(self, prefix: str) -> Sequence[int]:
        """The numbers in order; one whose keys begin so more than once comes as often.

        Where there are many, their order is kept: it is a matter of few and short prefixes, which are typed all the time.
        """
        found = self._range(prefix)
        if found.stop - found.start < _MANY:
            return sorted(self._numbers[found])
        if prefix not in self._kept:
            self._kept[prefix] = array("I", sorted(self._numbers[found]))
        return self._kept[prefix]

    def count(self, prefix: str) -> int:
        found = self._range(prefix)
        return found.stop - found.start

    def _range(self, prefix: str) -> slice:
        first = bisect_left(self._keys, prefix)
        return slice(self._ends[first], self._ends[bisect_left(self._keys, prefix + _AFTER_ALL, first)])


@cache
def search_in(taxonomy: Taxonomy) -> SkillSearch:
    """The one search of a process in a taxonomy."""
    return SkillSearch(taxonomy)
