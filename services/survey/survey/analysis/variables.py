"""The columns that an analyst gets: what stands in each and what it is called, made from a questionnaire.

Codes are what is stored. SPSS and Stata label numbers only: there a code that is a number is that number, and any other
is its place among its question's codes. SPSS keeps the codes for "no valid answer" as user-missing numbers, 98 and 99;
Stata's user-missing values are letters, so there they are ``.a``, ``.b`` and on, the same letter for the same code in
every question of a questionnaire.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from string import ascii_lowercase
from typing import Literal

from survey.questionnaires.questionnaire import Kind, Question, Questionnaire, Texts


def _texts(en: str, it: str, de: str, fr: str) -> Texts:
    return {"en": en, "it": it, "de": de, "fr": fr}


@dataclass(frozen=True)
class Variable:
    """A column."""

    name: str
    label: Texts
    type: Literal["string", "date", "integer"] = "string"
    codes: Mapping[str, Texts] = field(default_factory=dict[str, Texts])
    """Every value that may stand there, with its label; empty where values are not labelled."""
    missing: frozenset[str] = frozenset()
    """Codes that are no valid answer."""
    ordered: bool = False
    asked: tuple[Question, ...] = ()
    """What was asked, in each wave in words of its own; nothing for what the record says of itself."""

    @property
    def numbers(self) -> Mapping[str, int]:
        """What SPSS and Stata have for each code."""
        taken = {code: int(code) for code in self.codes if code.isdecimal()}
        free = (number for number in range(1, 10_000) if number not in taken.values())
        return {code: taken[code] if code in taken else next(free) for code in self.codes}


PARTIES = {
    "sender": _texts("Sending company", "Impresa di invio", "Entsendendes Unternehmen", "Entreprise d'envoi"),
    "host": _texts("Hosting company", "Impresa ospitante", "Aufnehmendes Unternehmen", "Entreprise d'accueil"),
    "traveller": _texts("Traveller", "Persona in mobilità", "Reisende Person", "Personne en mobilité"),
}
WAVES = {
    "1": _texts("End of the stay", "Fine del soggiorno", "Ende des Aufenthalts", "Fin du séjour"),
    "2": _texts("Six months later", "Sei mesi dopo", "Sechs Monate später", "Six mois plus tard"),
}
SIZES = {
    "micro": _texts("Micro (below 10)", "Micro (meno di 10)", "Kleinst (unter 10)", "Micro (moins de 10)"),
    "small": _texts("Small (10 to 49)", "Piccola (10-49)", "Klein (10 bis 49)", "Petite (10 à 49)"),
    "medium": _texts("Medium (50 to 249)", "Media (50-249)", "Mittel (50 bis 249)", "Moyenne (50 à 249)"),
    "large": _texts("Large (250 or more)", "Grande (250 o più)", "Groß (ab 250)", "Grande (250 ou plus)"),
}
DURATIONS = {
    band: _texts(f"{band} days", f"{band} giorni", f"{band} Tage", f"{band} jours")
    for band in ("14-30", "31-45", "46-62")
}
DIRECTIONS = {
    "traveller": _texts(
        "The traveller is trained", "Formazione di chi viaggia", "Die reisende Person lernt", "Formation de qui voyage"
    ),
    "host_staff": _texts(
        "The host's staff is trained",
        "Formazione del personale ospitante",
        "Das Personal des Gastgebers lernt",
        "Formation du personnel d'accueil",
    ),
}

RECORD = (
    Variable("record_id", _texts("Record (random)", "Record (casuale)", "Datensatz (zufällig)", "Fiche (aléatoire)")),
    Variable(
        "questionnaire",
        _texts(
            "Version of the questionnaire",
            "Versione del questionario",
            "Version des Fragebogens",
            "Version du questionnaire",
        ),
    ),
    Variable("party", _texts("Who answered", "Chi ha risposto", "Wer geantwortet hat", "Qui a répondu"), codes=PARTIES),
    Variable("wave", _texts("Wave", "Rilevazione", "Welle", "Vague"), "integer", WAVES, ordered=True),
    Variable(
        "released_on",
        _texts("Day of release", "Giorno di rilascio", "Tag der Freigabe", "Jour de mise à disposition"),
        "date",
    ),
    Variable(
        "exchange_cluster",
        _texts(
            "Exchange (keyed hash, within a programme year)",
            "Scambio (hash con chiave, entro un anno)",
            "Austausch (Hash mit Schlüssel, je Programmjahr)",
            "Échange (hachage à clé, par année)",
        ),
    ),
    Variable(
        "company_cluster",
        _texts(
            "Company (keyed hash, within a programme year)",
            "Impresa (hash con chiave, entro un anno)",
            "Unternehmen (Hash mit Schlüssel, je Programmjahr)",
            "Entreprise (hachage à clé, par année)",
        ),
    ),
    Variable(
        "country",
        _texts(
            "Country of the company (ISO 3166-1)",
            "Paese dell'impresa (ISO 3166-1)",
            "Land des Unternehmens (ISO 3166-1)",
            "Pays de l'entreprise (ISO 3166-1)",
        ),
    ),
    Variable(
        "sector_section",
        _texts(
            "Sector (section of NACE Rev. 2.1)",
            "Settore (sezione NACE Rev. 2.1)",
            "Wirtschaftszweig (Abschnitt der NACE Rev. 2.1)",
            "Secteur (section de la NACE Rév. 2.1)",
        ),
    ),
    Variable(
        "size_class",
        _texts(
            "Size of the company (staff)",
            "Dimensione dell'impresa (addetti)",
            "Größe des Unternehmens (Beschäftigte)",
            "Taille de l'entreprise (effectif)",
        ),
        codes=SIZES,
        ordered=True,
    ),
    Variable(
        "duration_band",
        _texts("Length of the stay", "Durata del soggiorno", "Dauer des Aufenthalts", "Durée du séjour"),
        codes=DURATIONS,
        ordered=True,
    ),
    Variable(
        "training_direction",
        _texts("Who is trained", "Chi viene formato", "Wer lernt", "Qui est formé"),
        codes=DIRECTIONS,
    ),
)
"""What every record says beside its answers, as SurveySubmitted has it; the event's documentation says more."""


def variables(questionnaire: Questionnaire) -> tuple[Variable, ...]:
    """The columns of an export: what the record says of itself, then the questions; free text is in no record."""
    asked: dict[str, list[Question]] = {}
    for question in questionnaire.questions:
        if question.kind is not Kind.TEXT:
            asked.setdefault(question.code, []).append(question)
    return RECORD + tuple(
        Variable(
            code,
            questions[0].texts,
            codes=questions[0].codes,
            missing=questions[0].missing,
            ordered=questions[0].kind is Kind.SCALE,
            asked=tuple(questions),
        )
        for code, questions in asked.items()
    )


def stata_missing(questionnaire: Questionnaire) -> Mapping[str, str]:
    """The letter of each code that is no valid answer."""
    codes = {code for question in questionnaire.questions for code in question.missing}
    return dict(zip(sorted(codes, key=lambda code: (len(code), code)), ascii_lowercase, strict=False))
