"""What a comparison says, as a plain sentence in each language of the questionnaire."""

from survey.evaluation.evaluate import ABOVE, ALIKE, BELOW, DOWN, UP
from survey.evaluation.figures import Change, IndicatorFigure

_PILOT = {
    ABOVE: {
        "en": "Higher than the pilot's {pilot}%: by {points} percentage points.",
        "it": "Più del {pilot}% del progetto pilota: {points} punti percentuali in più.",
        "de": "Mehr als die {pilot} % des Pilotprojekts: um {points} Prozentpunkte.",
        "fr": "Plus que les {pilot} % du projet pilote : de {points} points de pourcentage.",
    },
    BELOW: {
        "en": "Lower than the pilot's {pilot}%: by {points} percentage points.",
        "it": "Meno del {pilot}% del progetto pilota: {points} punti percentuali in meno.",
        "de": "Weniger als die {pilot} % des Pilotprojekts: um {points} Prozentpunkte.",
        "fr": "Moins que les {pilot} % du projet pilote : de {points} points de pourcentage.",
    },
    ALIKE: {
        "en": "With so many answers, no difference from the pilot's {pilot}% can be told.",
        "it": "Con queste risposte non si distingue una differenza dal {pilot}% del progetto pilota.",
        "de": "Bei so vielen Antworten ist kein Unterschied zu den {pilot} % des Pilotprojekts zu erkennen.",
        "fr": "Avec ce nombre de réponses, aucune différence avec les {pilot} % du projet pilote n'est décelable.",
    },
}
_CHANGE = {
    UP: {
        "en": "Higher than in the wave before: by {points} percentage points.",
        "it": "Più che nella rilevazione precedente: {points} punti percentuali in più.",
        "de": "Mehr als in der Welle davor: um {points} Prozentpunkte.",
        "fr": "Plus que lors de la vague précédente : de {points} points de pourcentage.",
    },
    DOWN: {
        "en": "Lower than in the wave before: by {points} percentage points.",
        "it": "Meno che nella rilevazione precedente: {points} punti percentuali in meno.",
        "de": "Weniger als in der Welle davor: um {points} Prozentpunkte.",
        "fr": "Moins que lors de la vague précédente : de {points} points de pourcentage.",
    },
    ALIKE: {
        "en": "With so many answers, no change from the wave before can be told.",
        "it": "Con queste risposte non si distingue un cambiamento dalla rilevazione precedente.",
        "de": "Bei so vielen Antworten ist keine Veränderung gegenüber der Welle davor zu erkennen.",
        "fr": "Avec ce nombre de réponses, aucun changement par rapport à la vague précédente n'est décelable.",
    },
}
_NO_ANSWER = {
    "en": "There is no valid answer yet.",
    "it": "Non c'è ancora nessuna risposta valida.",
    "de": "Es gibt noch keine gültige Antwort.",
    "fr": "Il n'y a pas encore de réponse valable.",
}


def beside_the_pilot(figure: IndicatorFigure, language: str) -> str | None:
    """None where the pilot reported nothing comparable.

    Raises:
        KeyError: not a language of the questionnaires.
    """
    if figure.pilot is None:
        return None
    if figure.verdict is None or figure.difference is None:
        return _NO_ANSWER[language]
    return _PILOT[figure.verdict][language].format(
        pilot=round(100 * figure.pilot), points=_points(figure.difference, language)
    )


def since_the_wave_before(change: Change, language: str) -> str:
    """Raises: KeyError: not a language of the questionnaires."""
    return _CHANGE[change.verdict][language].format(points=_points(change.difference, language))


def _points(difference: float, language: str) -> str:
    """To one decimal, with the language's decimal sign."""
    points = f"{abs(100 * difference):.1f}"
    return points if language == "en" else points.replace(".", ",")
