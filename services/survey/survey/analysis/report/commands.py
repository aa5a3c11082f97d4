"""What the report's command does."""

import json
from pathlib import Path

from survey.analysis import commands
from survey.analysis.chosen import Failed, Known, chosen
from survey.analysis.evaluation import code_version
from survey.analysis.report.report import Format, report
from survey.analysis.settings import EvaluationSettings
from survey.evaluation.figures import decoded_figures
from survey.page.exhibits import Provenance


def of_snapshot(
    settings: EvaluationSettings, known: Known, version: str | None, snapshot: int | None, language: str, form: Format
) -> tuple[bytes, list[str]]:
    """The report of what ``survey evaluate`` says of the snapshot, and what there is to say about it.

    Raises:
        Failed: as ``survey evaluate``.
    """
    snapshot_id = commands.snapshot_or_newest(settings, snapshot)
    figures, notes = commands.evaluate(settings, known, version, snapshot_id)
    provenance = Provenance(str(snapshot_id), code_version())
    return report(decoded_figures(figures), chosen(known, version), provenance, language, form), notes


def of_file(path: Path, known: Known, language: str, form: Format) -> bytes:
    """The report of figures in a file; it names snapshot and code if the file does, as the answer of ``GET /figures``.

    Raises:
        Failed: the file cannot be read, has no figures, or those of a questionnaire that is not published here.
    """
    try:
        said = json.loads(path.read_bytes())
        provenance = Provenance(said["snapshot_id"], said["code_version"]) if "figures" in said else None
        figures = decoded_figures(json.dumps(said.get("figures", said)).encode())
    except OSError as error:
        raise Failed(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Failed(f"{path} has no figures, as survey evaluate or GET /figures gives them") from None
    return report(figures, chosen(known, figures.questionnaire), provenance, language, form)
