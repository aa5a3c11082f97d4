"""The codebook, from a questionnaire: for people as Markdown in their language, for programs as a Frictionless Table Schema."""

from collections.abc import Mapping, Sequence
from typing import Any

from survey.analysis.variables import PARTIES, WAVES, Variable, stata_missing, variables
from survey.questionnaires.questionnaire import Indicator, Question, Questionnaire

WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "codebook": "Codebook",
        "version": "Version {version}, published on {day}",
        "record": "The record",
        "questions": "Questions",
        "indicators": "Indicators",
        "variable": "Variable",
        "meaning": "Meaning",
        "values": "Values",
        "code": "Code",
        "answer": "Answer",
        "valid": "Valid",
        "yes": "yes",
        "no": "no",
        "asked": "Asked of",
        "waves": "Waves",
        "only": "Only if {question} was answered by {answers}",
        "optional": "May be left out.",
        "favourable": "Counted codes",
        "pilot": "Pilot",
        "empty": "An empty cell: the question was not asked of this party in this wave, or was left out.",
    },
    "it": {
        "codebook": "Descrizione delle variabili",
        "version": "Versione {version}, pubblicata il {day}",
        "record": "Il record",
        "questions": "Domande",
        "indicators": "Indicatori",
        "variable": "Variabile",
        "meaning": "Significato",
        "values": "Valori",
        "code": "Codice",
        "answer": "Risposta",
        "valid": "Valida",
        "yes": "sì",
        "no": "no",
        "asked": "Rivolta a",
        "waves": "Rilevazioni",
        "only": "Solo se a {question} si è risposto {answers}",
        "optional": "Facoltativa.",
        "favourable": "Codici contati",
        "pilot": "Progetto pilota",
        "empty": "Cella vuota: la domanda non era rivolta a questa parte in questa rilevazione, o è stata saltata.",
    },
    "de": {
        "codebook": "Codebuch",
        "version": "Version {version}, veröffentlicht am {day}",
        "record": "Der Datensatz",
        "questions": "Fragen",
        "indicators": "Indikatoren",
        "variable": "Variable",
        "meaning": "Bedeutung",
        "values": "Werte",
        "code": "Code",
        "answer": "Antwort",
        "valid": "Gültig",
        "yes": "ja",
        "no": "nein",
        "asked": "Gefragt wird",
        "waves": "Wellen",
        "only": "Nur wenn {question} mit {answers} beantwortet wurde",
        "optional": "Darf ausgelassen werden.",
        "favourable": "Gezählte Codes",
        "pilot": "Pilotprojekt",
        "empty": "Leere Zelle: Die Frage wurde dieser Partei in dieser Welle nicht gestellt oder ausgelassen.",
    },
    "fr": {
        "codebook": "Dictionnaire des variables",
        "version": "Version {version}, publiée le {day}",
        "record": "La fiche",
        "questions": "Questions",
        "indicators": "Indicateurs",
        "variable": "Variable",
        "meaning": "Signification",
        "values": "Valeurs",
        "code": "Code",
        "answer": "Réponse",
        "valid": "Valide",
        "yes": "oui",
        "no": "non",
        "asked": "Posée à",
        "waves": "Vagues",
        "only": "Seulement si la réponse à {question} est {answers}",
        "optional": "Facultative.",
        "favourable": "Codes comptés",
        "pilot": "Projet pilote",
        "empty": "Cellule vide : la question n'a pas été posée à cette partie dans cette vague, ou a été omise.",
    },
}


def markdown(questionnaire: Questionnaire, language: str) -> str:
    """For people.

    Raises:
        KeyError: a language that the questionnaire does not have.
    """
    words = WORDS[language]
    missing = stata_missing(questionnaire)
    columns = variables(questionnaire)
    day = questionnaire.published_on.isoformat()
    parts = [
        f"# {words['codebook']}: {questionnaire.title[language]}",
        words["version"].format(version=questionnaire.version, day=day) + ".",
        f"## {words['record']}",
        _table(
            (words["variable"], words["meaning"], words["values"]),
            [
                (
                    f"`{each.name}`",
                    each.label[language],
                    "; ".join(f"`{code}` {label[language]}" for code, label in each.codes.items()),
                )
                for each in columns
                if not each.asked
            ],
        ),
        f"## {words['questions']}",
        words["empty"],
        *[_question(each, language, missing) for each in columns if each.asked],
    ]
    if questionnaire.indicators:
        parts += [f"## {words['indicators']}", _indicators(questionnaire.indicators, language)]
    return "\n\n".join(parts) + "\n"


def _question(variable: Variable, language: str, missing: Mapping[str, str]) -> str:
    words, numbers = WORDS[language], variable.numbers
    rows = [
        (
            f"`{code}`",
            label[language],
            words["no" if code in variable.missing else "yes"],
            str(numbers[code]),
            f".{missing[code]}" if code in variable.missing else str(numbers[code]),
        )
        for code, label in variable.codes.items()
    ]
    return "\n\n".join(
        [
            f"### {variable.name}",
            *[f"{question.texts[language]}\n\n{_remarks(question, language)}" for question in variable.asked],
            _table((words["code"], words["answer"], words["valid"], "SPSS", "Stata"), rows),
        ]
    )


def _remarks(question: Question, language: str) -> str:
    """Who was asked, when, and on what condition."""
    words = WORDS[language]
    parties = ", ".join(PARTIES[party][language] for party in PARTIES if party in question.base)
    waves = ", ".join(WAVES[str(wave)][language] for wave in sorted(question.waves))
    remarks = [f"{words['asked']}: {parties}.", f"{words['waves']}: {waves}."]
    if question.routing is not None:
        answers = ", ".join(f"`{answer}`" for answer in sorted(question.routing.answers))
        remarks.append(words["only"].format(question=f"`{question.routing.question}`", answers=answers) + ".")
    if not question.required:
        remarks.append(words["optional"])
    return " ".join(remarks)


def _indicators(indicators: Sequence[Indicator], language: str) -> str:
    words = WORDS[language]
    return _table(
        (words["variable"], words["meaning"], words["favourable"], words["pilot"]),
        [
            (
                f"`{each.question}`",
                each.texts[language],
                ", ".join(f"`{code}`" for code in sorted(each.favourable)),
                "" if each.pilot is None else f"{each.pilot:.0%}",
            )
            for each in indicators
        ],
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def table_schema(questionnaire: Questionnaire, language: str) -> dict[str, Any]:
    """For programs: a Table Schema (https://datapackage.org/standard/table-schema/) of an exported CSV.

    ``categories`` and ``missingCodes`` say what ``enum`` cannot: the labels, and which codes are no valid answers.
    """
    return {
        "fields": [_field(each, language) for each in variables(questionnaire)],
        "primaryKey": ["record_id"],
        "missingValues": [""],
    }


def _field(variable: Variable, language: str) -> dict[str, Any]:
    described: dict[str, Any] = {"name": variable.name, "type": variable.type, "title": variable.label[language]}
    if variable.codes:
        values = [int(code) if variable.type == "integer" else code for code in variable.codes]
        described["categories"] = [
            {"value": value, "label": label[language]}
            for value, label in zip(values, variable.codes.values(), strict=True)
        ]
        described["constraints"] = {"enum": values}
    if len(variable.asked) > 1:
        told = [f"{each.texts[language]} {_remarks(each, language)}" for each in variable.asked]
        described["description"] = " ".join(told)
    if variable.missing:
        described["missingCodes"] = sorted(variable.missing)
    if not variable.asked:
        described.setdefault("constraints", {})["required"] = True
    return described
