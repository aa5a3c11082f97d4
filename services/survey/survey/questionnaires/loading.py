"""Reads a questionnaire's file. Everything that is wrong with it is found in one go, each with its line.

Values are taken as they are written: the code ``yes`` is a text here, and no truth value.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError
from sojourn_contracts.vocabulary import Party

from survey.questionnaires.questionnaire import (
    DECLINED,
    DONT_KNOW,
    END_OF_STAY,
    LANGUAGES,
    NOT_APPLICABLE,
    SIX_MONTHS_LATER,
    Indicator,
    Kind,
    Question,
    Questionnaire,
    Routing,
    Texts,
)

WAVES = (END_OF_STAY, SIX_MONTHS_LATER)
CODE_LENGTH = 32
"""Of a question or an answer: as long as the public event takes."""


@dataclass(frozen=True, order=True)
class Wrong:
    """One thing that is wrong with a file."""

    file: str
    line: int
    detail: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.detail}"


class Faulty(ValueError):  # noqa: N818 - a state of the files
    """Questionnaires cannot be used as they are; the text has a line for each thing that is wrong."""

    def __init__(self, wrong: Sequence[Wrong]) -> None:
        super().__init__("\n".join(map(str, sorted(wrong))))
        self.wrong = tuple(sorted(wrong))


@dataclass(frozen=True)
class Leaf:
    """A value of the file, or the order of a list or mapping, at its line."""

    value: str
    line: int


@dataclass(frozen=True)
class Document:
    """A questionnaire, with every value of its file by its place there."""

    questionnaire: Questionnaire
    leaves: Mapping[str, Leaf]


@lru_cache(maxsize=16)
def load(text: str, file: str) -> Document:
    """The questionnaire that is written there.

    Raises:
        Faulty: it is no YAML, or says something that no questionnaire can.
    """
    try:
        root = YAML(pure=True).compose(text)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise Faulty([Wrong(file, line, "has a character that YAML does not allow")]) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Faulty([Wrong(file, (mark.line if mark else 0) + 1, f"is no YAML: {error.problem}")]) from None
    reading = _Reading(file)
    questionnaire = reading.questionnaire(root)
    if reading.wrong or questionnaire is None:
        raise Faulty(reading.wrong)
    return Document(questionnaire, dict(_leaves(root, "")))


def load_file(path: Path) -> Document:
    """The same from a file, which is named after its version.

    Raises:
        Faulty: as above, or the file's name is another one.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Faulty([Wrong(path.name, error.object[: error.start].count(b"\n") + 1, "is no UTF-8")]) from None
    document = load(text, path.name)
    if document.questionnaire.version != path.stem:
        line = document.leaves["version"].line
        raise Faulty([Wrong(path.name, line, f"the file of version {document.questionnaire.version} has another name")])
    return document


def _leaves(node: Node, place: str) -> Iterator[tuple[str, Leaf]]:
    line = node.start_mark.line + 1
    if isinstance(node, ScalarNode):
        yield place, Leaf(node.value, line)
        return
    named = (
        [(key.value, value) for key, value in node.value] if isinstance(node, MappingNode) else list(_named(node.value))
    )
    yield f"{place}[]" if place else "[]", Leaf(", ".join(name for name, _ in named), line)
    for name, value in named:
        yield from _leaves(value, f"{place}.{name}" if place else name)


def _named(items: Sequence[Node]) -> Iterator[tuple[str, Node]]:
    """By their codes, or their own values; one that is there already by its number as well."""
    seen = Counter[str]()
    for item in items:
        name = item.value if isinstance(item, ScalarNode) else _code(item)
        seen[name] += 1
        yield name if seen[name] == 1 else f"{name}#{seen[name]}", item


def _code(node: Node) -> str:
    fields = node.value if isinstance(node, MappingNode) else []
    return next((value.value for key, value in fields if key.value == "code" and isinstance(value, ScalarNode)), "item")


@dataclass(frozen=True)
class _Scale:
    kind: Kind
    codes: Mapping[str, Texts]


@dataclass
class _Reading:
    """One pass over a file. What cannot be read is noted and left out, and the rest is looked at all the same."""

    file: str
    wrong: list[Wrong] = field(default_factory=list[Wrong])

    def note(self, node: Node, detail: str) -> None:
        self.wrong.append(Wrong(self.file, node.start_mark.line + 1, detail))

    def fields(self, node: Node, what: str, required: Sequence[str], optional: Sequence[str] = ()) -> dict[str, Node]:
        """The fields of a mapping that is to have these and may have those."""
        found = self.entries(node, what)
        for name, value in found.items():
            if name not in (*required, *optional):
                allowed = ", ".join((*required, *optional))
                self.note(value, f"{what} has no field {name}; it may have {allowed}")
        for name in required:
            if name not in found:
                self.note(node, f"{what} has no {name}")
        return found

    def entries(self, node: Node, what: str) -> dict[str, Node]:
        if not isinstance(node, MappingNode):
            self.note(node, f"{what} should be a mapping of names to values")
            return {}
        found: dict[str, Node] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self.note(key, f"{what} has a name that is no text")
            elif key.value in found:
                self.note(key, f"{what} has {key.value} twice")
            else:
                found[str(key.value)] = value
        return found

    def items(self, node: Node | None, what: str) -> list[Node]:
        if node is None:
            return []
        if not isinstance(node, SequenceNode) or not node.value:
            self.note(node, f"{what} should be a list with something in it")
            return []
        return node.value

    def text(self, node: Node | None, what: str) -> str:
        if node is None:
            return ""
        if not isinstance(node, ScalarNode) or not node.value.strip():
            self.note(node, f"{what} should be a text")
            return ""
        return node.value

    def code(self, node: Node | None, what: str) -> str:
        code = self.text(node, what)
        if node is not None and code and (len(code) > CODE_LENGTH or not code.replace("_", "").isalnum()):
            self.note(node, f"{what} {code} should have letters, digits and _, {CODE_LENGTH} at most")
        return code

    def texts(self, node: Node | None, what: str) -> Texts:
        if node is None:
            return {}
        found = self.entries(node, what)
        for language in found.keys() - set(LANGUAGES):
            self.note(found[language], f"{what} has the language {language}; there are {', '.join(LANGUAGES)}")
        missing = [language for language in LANGUAGES if language not in found]
        if missing and isinstance(node, MappingNode):
            self.note(node, f"{what} is not translated to {', '.join(missing)}")
        return {
            language: self.text(found[language], f"{what} in {language}") for language in LANGUAGES if language in found
        }

    def labels(self, node: Node | None, what: str) -> dict[str, Texts]:
        if node is None:
            return {}
        if isinstance(node, MappingNode):
            for key, _ in node.value:
                self.code(key, f"the code of {what}")
        return {code: self.texts(label, f"{what}, code {code}") for code, label in self.entries(node, what).items()}

    def questionnaire(self, root: Node | None) -> Questionnaire | None:
        if root is None:
            self.wrong.append(Wrong(self.file, 1, "the file is empty"))
            return None
        wanted = ("version", "published_on", "title", "missing", "scales", "questions")
        found = self.fields(root, "a questionnaire", wanted, ("indicators",))
        missing = self.missing(found.get("missing"))
        scales = self.scales(found.get("scales"), missing)
        nodes = self.items(found.get("questions"), "the list of questions")
        questions = [(node, self.question(node, scales, missing)) for node in nodes]
        self.check_codes(questions)
        self.check_routing(questions)
        indicators = [
            self.indicator(node, [question for _, question in questions])
            for node in self.items(found.get("indicators"), "the list of indicators")
        ]
        for code, number in Counter(each.code for each in indicators).items():
            if number > 1:
                self.note(found["indicators"], f"there are {number} indicators {code}")
        return Questionnaire(
            version=self.text(found.get("version"), "the version"),
            published_on=self.day(found.get("published_on")),
            title=self.texts(found.get("title"), "the title"),
            questions=tuple(question for _, question in questions),
            indicators=tuple(indicators),
        )

    def day(self, node: Node | None) -> date:
        said = self.text(node, "the day of publication")
        try:
            return date.fromisoformat(said)
        except ValueError:
            if node is not None and said:
                self.note(node, f"the day of publication {said} should be written as 2026-01-31")
            return date.min

    def missing(self, node: Node | None) -> dict[str, Texts]:
        labels = self.labels(node, "missing")
        codes = (DECLINED, DONT_KNOW, NOT_APPLICABLE)
        if node is not None and labels.keys() != set(codes):
            self.note(node, f"missing should have the codes {', '.join(codes)}, and has {', '.join(labels)}")
        return labels

    def scales(self, node: Node | None, missing: Mapping[str, Texts]) -> dict[str, _Scale]:
        scales = dict[str, _Scale]()
        for name, each in (self.entries(node, "scales") if node is not None else {}).items():
            found = self.fields(each, f"scale {name}", ("kind", "codes"))
            kind = self.one_of(found.get("kind"), f"the kind of scale {name}", [Kind.SCALE, Kind.CHOICE])
            codes = self.labels(found.get("codes"), f"scale {name}")
            for code in codes.keys() & missing.keys():
                self.note(found["codes"], f"scale {name} has the code {code}, which says that there is no opinion")
            if "codes" in found and len(codes) < 2:
                self.note(found["codes"], f"scale {name} should have two codes at least")
            scales[name] = _Scale(Kind(kind or Kind.SCALE), codes)
        return scales

    def one_of(self, node: Node | None, what: str, allowed: Sequence[str]) -> str:
        said = self.text(node, what)
        if node is not None and said and said not in allowed:
            self.note(node, f"{what} is {said}, and should be one of {', '.join(allowed)}")
            return ""
        return said

    def some_of(self, node: Node | None, what: str, allowed: Sequence[str]) -> list[str]:
        said = [self.one_of(each, what, allowed) for each in self.items(node, what)]
        for each in sorted({each for each in said if each and said.count(each) > 1}):
            if node is not None:
                self.note(node, f"{what} has {each} twice")
        return [each for each in said if each]

    def question(self, node: Node, scales: Mapping[str, _Scale], missing: Mapping[str, Texts]) -> Question:
        is_text = isinstance(node, MappingNode) and any(key.value == "kind" for key, _ in node.value)
        answered = "kind" if is_text else "scale"
        found = self.fields(node, "a question", ("code", "text", answered, "base", "waves", "required"), ("asked_if",))
        code = self.code(found.get("code"), "the code of a question")
        what = f"question {code}"
        scale = None
        if is_text:
            self.one_of(found["kind"], f"the kind of {what}", [Kind.TEXT])
        else:
            scale = scales.get(self.one_of(found.get("scale"), f"the scale of {what}", list(scales)))
        required = self.one_of(found.get("required"), f"whether {what} is required", ["true", "false"]) == "true"
        if is_text and required:
            self.note(found["required"], f"{what} is answered in one's own words, and cannot be required")
        return Question(
            code=code,
            kind=Kind.TEXT if is_text else scale.kind if scale else Kind.SCALE,
            texts=self.texts(found.get("text"), f"the text of {what}"),
            codes={**scale.codes, **missing} if scale else {},
            missing=frozenset(missing) if scale else frozenset(),
            base=frozenset(map(Party, self.some_of(found.get("base"), f"the base of {what}", list(Party)))),
            waves=frozenset(map(int, self.some_of(found.get("waves"), f"the waves of {what}", list(map(str, WAVES))))),
            routing=self.routing(found.get("asked_if"), what),
            required=required,
        )

    def routing(self, node: Node | None, what: str) -> Routing | None:
        if node is None:
            return None
        found = self.fields(node, f"the routing of {what}", ("question", "answers"))
        answers = [
            self.text(each, f"an answer in the routing of {what}")
            for each in self.items(found.get("answers"), f"the answers in the routing of {what}")
        ]
        return Routing(self.text(found.get("question"), f"the question in the routing of {what}"), frozenset(answers))

    def check_codes(self, questions: Sequence[tuple[Node, Question]]) -> None:
        """One question under a code in a wave; under the same code in another wave, with the same answers."""
        first: dict[str, Question] = {}
        asked: set[tuple[str, int]] = set()
        for node, question in questions:
            twice = sorted(wave for wave in question.waves if (question.code, wave) in asked)
            if twice:
                self.note(node, f"there is a question {question.code} in wave {', '.join(map(str, twice))} already")
            asked |= {(question.code, wave) for wave in question.waves}
            if question.codes != first.setdefault(question.code, question).codes:
                self.note(node, f"question {question.code} has other answers here than where it is asked first")

    def check_routing(self, questions: Sequence[tuple[Node, Question]]) -> None:
        """What a question hangs on is asked before it, of everybody of whom it is asked itself."""
        for place, (node, question) in enumerate(questions):
            if question.routing is None:
                continue
            name, what = question.routing.question, f"the routing of question {question.code}"
            named = [each for _, each in questions if each.code == name]
            if not named:
                self.note(node, f"{what} names {name}, and there is no such question")
                continue
            before = [each for _, each in questions[:place] if each.code == name]
            covered = {(party, wave) for each in before for party in each.base for wave in each.waves}
            if not covered >= {(party, wave) for party in question.base for wave in question.waves}:
                self.note(node, f"{what} names {name}, which is not asked before it of the same parties and waves")
            for answer in sorted(question.routing.answers - named[0].codes.keys()):
                self.note(node, f"{what} names the answer {answer}, which is none to {name}")

    def indicator(self, node: Node, questions: Sequence[Question]) -> Indicator:
        found = self.fields(node, "an indicator", ("code", "question", "favourable", "text"), ("pilot",))
        code = self.code(found.get("code"), "the code of an indicator")
        what = f"indicator {code}"
        name = self.text(found.get("question"), f"the question of {what}")
        question = next((each for each in questions if each.code == name), None)
        if question is None and name:
            self.note(found["question"], f"{what} counts question {name}, and there is none")
        opinions = [code for code in question.codes if code not in question.missing] if question else []
        favourable = self.items(found.get("favourable"), f"the favourable answers of {what}")
        return Indicator(
            code=code,
            question=name,
            favourable=frozenset(
                self.one_of(each, f"a favourable answer of {what}", opinions) if question else "" for each in favourable
            ),
            texts=self.texts(found.get("text"), f"the text of {what}"),
            pilot=self.share(found.get("pilot"), what),
        )

    def share(self, node: Node | None, what: str) -> float | None:
        if node is None:
            return None
        said = self.text(node, f"the pilot's share of {what}")
        try:
            share = float(said)
        except ValueError:
            share = -1
        if not 0 <= share <= 1:
            self.note(node, f"the pilot's share of {what} is {said}, and should be a number from 0 to 1")
        return share
