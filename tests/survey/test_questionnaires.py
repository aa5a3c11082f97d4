"""Questionnaires as files: what is wrong is named with its line, all at once, and what was published does not change."""

import re
import shutil
from pathlib import Path

import pytest
from sojourn_contracts.vocabulary import Party
from survey.command import command
from survey.questionnaires.loading import Faulty, load
from survey.questionnaires.published import FILES, newest, publish, published, read
from survey.questionnaires.questionnaire import LANGUAGES, Kind
from typer.testing import CliRunner

TEXT = (FILES / "2026.1.yaml").read_text()


def line(of: str, text: str = TEXT, number: int = 1) -> int:
    """Of the so manieth line that contains it."""
    found = [place for place, each in enumerate(text.splitlines(), start=1) if of in each]
    return found[number - 1]


def wrong(text: str) -> list[tuple[int, str]]:
    with pytest.raises(Faulty) as faulty:
        load(text, "2026.1.yaml")
    return [(each.line, each.detail) for each in faulty.value.wrong]


def after(old: str, new: str, text: str = TEXT) -> str:
    assert old in text
    return text.replace(old, new, 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FILES, tmp_path / "files"))


def test_everything_that_is_published_is_right_and_as_it_was():
    assert read().wrong == ()
    assert list(published())[-1] == newest().version


def test_every_text_is_there_in_four_languages_that_differ():
    for question in newest().questions:
        assert set(question.texts) == set(LANGUAGES)
        assert len(set(question.texts.values())) == len(LANGUAGES), question.code
        assert all(set(labels) == set(LANGUAGES) for labels in question.codes.values())


@pytest.mark.parametrize("party", Party)
@pytest.mark.parametrize("wave", [1, 2])
def test_every_question_but_a_text_may_be_declined_or_not_be_known(party: Party, wave: int):
    asked = newest().asked(party, wave)
    assert asked[-1].kind is Kind.TEXT
    for question in asked[:-1]:
        assert question.missing == {"97", "98", "99"} < question.codes.keys()


def test_each_indicator_is_asked_of_the_right_parties_and_has_the_pilots_share():
    base = {each.code: set(newest().question(each.question).base) for each in newest().indicators}
    assert base == {
        "SEND_MATCH": {Party.SENDER},
        "HOST_MATCH": {Party.HOST},
        "XBORDER": {Party.SENDER, Party.HOST},
        "NEWPROD": {Party.SENDER, Party.HOST},
        "EMP_PROFDEV": {Party.TRAVELLER},
    }
    assert [each.pilot for each in newest().indicators] == [0.91, 0.95, 0.90, 0.75, 0.81]
    for indicator in newest().indicators:
        question = newest().question(indicator.question)
        assert indicator.favourable < question.codes.keys() - question.missing
        assert question.required


ITALIAN = "      it: Le esigenze e le competenze dell'azienda ospitante erano ben abbinate alle nostre.\n"


@pytest.mark.parametrize(
    ("old", "new", "at", "said"),
    [
        (ITALIAN, "", "en: The host's needs", "the text of question SEND_MATCH is not translated to it"),
        (ITALIAN, "      it: ''\n", "it: ''", "the text of question SEND_MATCH in it should be a text"),
        (ITALIAN, f"{ITALIAN}      pt: Sim\n", "pt: Sim", "the language pt; there are en, it, de, fr"),
        ("base: [host]", "base: [guest]", "base: [guest]", "the base of question HOST_MATCH is guest, and should be one of"),
        ("base: [host]", "base: []", "base: []", "should be a list with something in it"),
        ("waves: [1]", "waves: [3]", "waves: [3]", "the waves of question SEND_MATCH is 3, and should be one of 1, 2"),
        ("waves: [1]", "waves: [1, 1]", "waves: [1, 1]", "has 1 twice"),
        ("scale: agreement", "scale: likert", "scale: likert", "the scale of question SEND_MATCH is likert, and should be"),
        ("kind: text", "kind: essay", "kind: essay", "the kind of question REMARKS is essay, and should be one of text"),
        ("kind: choice", "kind: choise", "kind: choise", "the kind of scale yes_no is choise"),
        ("required: true", "required: maybe", "required: maybe", "is maybe, and should be one of true, false"),
        ("code: SKILLS_BACK", "code: SEND_MATCH", None, "there is a question SEND_MATCH in wave 1 already"),
        ("code: SKILLS_BACK", "code: SKILLS-BACK", "code: SKILLS-BACK", "should have letters, digits and _, 32 at most"),
        ("question: COSTS\n", "question: COST\n", None, "names COST, and there is no such question"),
        ("question: COSTS\n", "question: REPEAT\n", None, "names REPEAT, which is not asked before it"),
        ("question: COSTS\n", "question: HOST_EFFORT\n", None, "which is not asked before it of the same parties"),
        ("question: SEND_MATCH", "question: SENT", "question: SENT", "counts question SENT, and there is none"),
        ('favourable: ["yes"]', 'favourable: ["98"]', 'favourable: ["98"]', "is 98, and should be one of yes, no"),
        ("pilot: 0.91", "pilot: 91", "pilot: 91", "is 91, and should be a number from 0 to 1"),
        ("published_on: 2026-01-15", "published_on: soon", "published_on: soon", "should be written as 2026-01-31"),
        ('      "2":\n', '      "1":\n', '      "1":', "scale agreement has 1 twice"),
        ('  "97":\n', '  "96":\n', '  "96":', "missing should have the codes 97, 98, 99, and has 96, 98, 99"),
        ("version:", "versoin:", "versoin:", "a questionnaire has no field versoin; it may have version"),
        ("title:\n", "title: {\n", None, "is no YAML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(old: str, new: str, at: str | None, said: str):
    text = after(old, new)
    found = wrong(text)
    assert [detail for _, detail in found if said in detail], found
    if at is not None:
        lines = {number for number, detail in found if said in detail}
        assert lines & {line(at, text), line(at, text) + 1, line(at, text, 2) if text.count(at) > 1 else 0}


def test_an_answer_in_a_routing_that_is_none_is_named():
    found = wrong(after('question: COSTS\n      answers: ["yes"]', 'question: COSTS\n      answers: ["maybe"]'))
    assert found == [(line("code: COSTS_AMOUNT"), found[0][1])]
    assert "names the answer maybe, which is none to COSTS" in found[0][1]


def test_what_is_asked_again_has_the_same_answers():
    [first, second, _] = [match.start() for match in re.finditer("- code: NEWPROD\n", TEXT)]
    assert first < second
    text = TEXT[:second] + TEXT[second:].replace("scale: yes_no", "scale: agreement", 1)
    assert [detail for _, detail in wrong(text) if "NEWPROD has other answers here" in detail]


def test_everything_that_is_wrong_is_named_at_once():
    text = after("base: [host]", "base: [guest]", after(ITALIAN, "", after("pilot: 0.95", "pilot: 95")))
    assert len(wrong(text)) == 3


@pytest.mark.parametrize(
    "text", ["", "- a\n- b\n", "questions: 5\n", "nothing", "a: [\n", "\x00", "? [a]\n: b\n", "a: 1\n---\nb: 2\n"]
)
def test_what_is_no_questionnaire_is_refused(text: str):
    assert wrong(text)


def test_a_changed_published_text_is_named_with_its_line(folder: Path):
    path = folder / "2026.1.yaml"
    path.write_text(after("passten gut zu unseren", "passten sehr gut zu unseren"))
    assert [str(each) for each in read(folder).wrong] == [
        f"2026.1.yaml:{line('passten gut zu unseren')}: questions.SEND_MATCH.text.de was published and has been changed"
    ]


def test_an_added_a_removed_and_a_moved_value_of_a_published_version_are_named(folder: Path):
    path = folder / "2026.1.yaml"
    path.write_text(
        after("    pilot: 0.91\n", "", after('favourable: ["yes"]\n    pilot', 'favourable: ["yes", "no"]\n    pilot'))
    )
    said = "\n".join(map(str, read(folder).wrong))
    assert "indicators.SEND_MATCH.pilot was published and is gone" in said
    assert "indicators.NEWPROD.favourable.no was published and has been added" in said
    path.write_text(after('answers: ["yes"]', 'answers: ["no"]'))
    assert "asked_if.answers.no was published and has been added" in str(Faulty(read(folder).wrong))
    path.write_text(after("base: [sender, host]", "base: [host, sender]"))
    [moved] = read(folder).wrong
    assert (moved.line, moved.detail) == (
        line("base: [sender, host]"),
        "questions.XBORDER.base[] was published and has been changed",
    )


def test_comments_and_layout_may_change(folder: Path):
    path = folder / "2026.1.yaml"
    path.write_text("# Another word.\n" + TEXT.replace("base: [sender]", "base:\n      - sender"))
    assert read(folder).wrong == ()


def test_a_file_that_is_no_utf_8_is_named(folder: Path):
    (folder / "2026.1.yaml").write_bytes(TEXT.encode("latin-1"))
    assert [(each.file, each.detail) for each in read(folder).wrong] == [("2026.1.yaml", "is no UTF-8")]


def test_a_published_file_that_is_gone_is_named(folder: Path):
    (folder / "2026.1.yaml").unlink()
    [only] = read(folder).wrong
    assert (only.file, only.detail) == ("published.toml", "version 2026.1 was published, and its file is gone")


def test_a_file_is_named_after_its_version(folder: Path):
    (folder / "2026.1.yaml").rename(folder / "2027.1.yaml")
    assert any("the file of version 2026.1 has another name" in each.detail for each in read(folder).wrong)


def test_a_new_version_lives_beside_the_old_one_and_is_a_draft_until_it_is_published(folder: Path):
    (folder / "2026.2.yaml").write_text(after('version: "2026.1"', 'version: "2026.2"'))
    shelf = read(folder)
    assert (shelf.documents.keys(), shelf.published) == ({"2026.1", "2026.2"}, {"2026.1"})
    assert publish("2026.2", folder)
    assert not publish("2026.2", folder)
    assert (read(folder).published, read(folder).wrong) == ({"2026.1", "2026.2"}, ())
    with pytest.raises(KeyError):
        publish("2026.3", folder)
    (folder / "2026.2.yaml").write_text(
        after("passten gut", "passten", after('version: "2026.1"', 'version: "2026.2"'))
    )
    with pytest.raises(Faulty, match=r"2026\.2\.yaml:\d+: questions\.SEND_MATCH\.text\.de"):
        publish("2026.2", folder)


def run(*arguments: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(command, ["questionnaire", *map(str, arguments)])
    return done.exit_code, done.output


def test_the_command_checks_all_files_and_names_what_is_wrong(folder: Path):
    (folder / "2026.2.yaml").write_text(after('version: "2026.1"', 'version: "2026.2"'))
    assert run("check", "--folder", folder) == (
        0,
        "2026.1: published, 40 questions, right\n2026.2: a draft, 40 questions, right\n",
    )
    (folder / "2026.2.yaml").write_text(after("base: [host]", "base: [guest]"))
    (folder / "2026.1.yaml").write_text(after("passten gut", "passten"))
    code, output = run("check", "--folder", folder)
    assert code == 1
    assert [each.partition(": ")[0] for each in output.splitlines()] == [
        f"2026.1.yaml:{line('passten gut')}",
        f"2026.2.yaml:{line('base: [host]')}",
    ]


def test_the_command_tells_what_differs(folder: Path):
    (folder / "2026.2.yaml").write_text(
        after("    pilot: 0.91\n", "", after("passten gut", "passten", after('"2026.1"', '"2026.2"')))
    )
    code, output = run("diff", "2026.1", "2026.2", "--folder", folder)
    assert code == 0
    assert output.splitlines() == [
        "- version: 2026.1",
        "+ version: 2026.2",
        "- questions.SEND_MATCH.text.de: Bedarf und Kompetenzen des Gastunternehmens passten gut zu unseren.",
        "+ questions.SEND_MATCH.text.de: Bedarf und Kompetenzen des Gastunternehmens passten zu unseren.",
        "- indicators.SEND_MATCH[]: code, question, favourable, pilot, text",
        "+ indicators.SEND_MATCH[]: code, question, favourable, text",
        "- indicators.SEND_MATCH.pilot: 0.91",
    ]
    assert run("diff", "2026.1", "1999.1") == (2, "There is no version 1999.1; there are 2026.1.\n")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_command_renders_what_each_party_is_asked(language: str):
    for party in Party:
        for wave in (1, 2):
            code, output = run("render", "2026.1", "--party", party, "--wave", str(wave), "--language", language)
            assert code == 0
            assert output.startswith(f"# {newest().title[language]}\n")
            for question in newest().asked(party, wave):
                assert f". {question.texts[language]}\n\n`{question.code}`" in output
                for code_, labels in question.codes.items():
                    assert f"- `{code_}` {labels[language]}\n" in output


def test_a_rendered_question_says_of_whom_it_is_asked():
    _, output = run("render", "2026.1", "--party", "host", "--language", "de")
    assert "Nur wenn die Antwort auf `COSTS` lautet: ja" in output


def test_the_command_publishes_once(folder: Path):
    (folder / "2026.2.yaml").write_text(after('version: "2026.1"', 'version: "2026.2"'))
    assert run("publish", "2026.2", "--folder", folder) == (0, "2026.2: published\n")
    assert run("publish", "2026.2", "--folder", folder) == (0, "2026.2: was published before\n")
    assert run("publish", "2026.9", "--folder", folder)[0] == 2
