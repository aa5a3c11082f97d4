"""A questionnaire as a page to read: what one party is asked in one wave, in one language, as Markdown."""

from collections.abc import Iterable, Iterator, Mapping

from sojourn_contracts.vocabulary import Party

from survey.questionnaires.loading import Document
from survey.questionnaires.questionnaire import END_OF_STAY, Kind, Question, Questionnaire

_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "sender": "Sending company",
        "host": "Hosting company",
        "traveller": "Traveller",
        "end": "end of the stay",
        "later": "six months later",
        "text": "In your own words.",
        "required": "required",
        "if": "Only if the answer to {question} is: {answers}",
    },
    "it": {
        "sender": "Azienda d'invio",
        "host": "Azienda ospitante",
        "traveller": "Persona in viaggio",
        "end": "fine del soggiorno",
        "later": "sei mesi dopo",
        "text": "Con parole Sue.",
        "required": "obbligatoria",
        "if": "Solo se la risposta a {question} è: {answers}",
    },
    "de": {
        "sender": "Entsendendes Unternehmen",
        "host": "Aufnehmendes Unternehmen",
        "traveller": "Reisende Person",
        "end": "Ende des Aufenthalts",
        "later": "sechs Monate später",
        "text": "In Ihren eigenen Worten.",
        "required": "Pflichtfrage",
        "if": "Nur wenn die Antwort auf {question} lautet: {answers}",
    },
    "fr": {
        "sender": "Entreprise d'envoi",
        "host": "Entreprise d'accueil",
        "traveller": "Personne en séjour",
        "end": "fin du séjour",
        "later": "six mois plus tard",
        "text": "Avec vos propres mots.",
        "required": "obligatoire",
        "if": "Seulement si la réponse à {question} est : {answers}",
    },
}


def render(questionnaire: Questionnaire, party: Party, wave: int, language: str) -> str:
    """What the party sees, with the codes that stand for its answers."""
    words = _WORDS[language]
    when = words["end"] if wave == END_OF_STAY else words["later"]
    lines = [f"# {questionnaire.title[language]}", "", f"{words[party]}, {when}. {questionnaire.version}", ""]
    for number, question in enumerate(questionnaire.asked(party, wave), start=1):
        lines += _question(number, question, questionnaire.asked(party, wave), language)
    return "\n".join(lines)


def _question(number: int, question: Question, asked: Iterable[Question], language: str) -> Iterator[str]:
    words = _WORDS[language]
    yield f"## {number}. {question.texts[language]}"
    yield ""
    yield f"`{question.code}`" + (f", {words['required']}" if question.required else "")
    yield ""
    if routing := question.routing:
        gate = next(each for each in asked if each.code == routing.question)
        answers = ", ".join(labels[language] for code, labels in gate.codes.items() if code in routing.answers)
        yield words["if"].format(question=f"`{gate.code}`", answers=answers)
        yield ""
    if question.kind is Kind.TEXT:
        yield words["text"]
    for code, labels in question.codes.items():
        yield f"- `{code}` {labels[language]}"
    yield ""


def difference(old: Document, new: Document) -> list[str]:
    """What differs between two versions, place by place: ``-`` as it was, ``+`` as it is."""
    lines: list[str] = []
    for place in dict.fromkeys((*old.leaves, *new.leaves)):
        before, now = old.leaves.get(place), new.leaves.get(place)
        if before and now and before.value == now.value:
            continue
        lines += [f"- {place}: {before.value}"] if before else []
        lines += [f"+ {place}: {now.value}"] if now else []
    return lines
