"""A study's sentences: parsed, filled in, and complete."""

import re
from pathlib import Path

import pytest
from jinja2 import UndefinedError

import epsball.studies
from epsball.errors import BrokenContract
from epsball.studies.claims.story import TableBlock
from epsball.studies.core.notes import parse_notes, write_story
from epsball.studies.table import STUDIES

MARKDOWN = """# Is it so?

{% if n is none %}
Unknown.
{% else %}
It is so in {{ n | percent }} of
the cases.
{% endif %}

## cost: What it costs
Seconds.

### cost-table
Cost of {{ name }}

## Reasons

### reason-few
only {{ n }}

## notes: Choices
- one, over
  two lines
- another
"""
TABLE = TableBlock("caption", "a|b", [])
FOLDERS = sorted(Path(epsball.studies.__path__[0]).glob("*/notes.md"))


def test_texts_are_templates() -> None:
    notes = parse_notes(MARKDOWN)
    assert notes.sections == (("cost", "What it costs"),)
    assert notes.text("answer", n=0.5) == "It is so in 50.0 % of the cases."
    assert notes.text("answer", n=None) == "Unknown."
    assert notes.text("reason-few", n=3) == "only 3"
    assert notes.items("notes") == ("one, over two lines", "another")


def test_the_story_has_sections_in_the_order_of_the_file() -> None:
    story = write_story(parse_notes(MARKDOWN), {"n": None}, {"cost": [TABLE]}, [])
    assert (story.question, story.answer) == ("Is it so?", "Unknown.")
    assert [(s.key, s.lede, list(s.blocks)) for s in story.sections] == [
        ("cost", "Seconds.", [TABLE])
    ]
    assert story.notes == ("one, over two lines", "another")


def test_a_missing_value_is_an_error_and_not_an_empty_word() -> None:
    with pytest.raises(UndefinedError):
        parse_notes(MARKDOWN).text("cost-table")


def test_what_does_not_exist_is_named() -> None:
    notes = parse_notes(MARKDOWN)
    with pytest.raises(BrokenContract, match="no text 'reason-many'"):
        notes.text("reason-many")
    with pytest.raises(BrokenContract, match="no section price"):
        write_story(notes, {"n": None}, {"price": [TABLE]}, [])
    with pytest.raises(BrokenContract, match="two texts 'cost'"):
        parse_notes(MARKDOWN + "## cost: again\n")
    with pytest.raises(BrokenContract, match="no first-level heading"):
        parse_notes("## cost: it\n")


@pytest.mark.parametrize("file", FOLDERS, ids=lambda file: file.parent.name)
def test_every_caption_and_reason_is_used_by_the_study(file: Path) -> None:
    notes = parse_notes(file.read_text())
    code = "".join(module.read_text() for module in file.parent.glob("*.py"))
    fixed = {"answer", "notes", *(key for key, _ in notes.sections)}
    # a table or figure is named by its key alone
    stems = {key: re.sub("-(table|figure|alt)$", "", key) for key in notes.texts}
    quoted = set(re.findall(r'"([a-z0-9-]+)"', code))
    begun = tuple(re.findall(r'f"([a-z0-9-]+-)\{', code))  # names with a variable end
    unused = [
        key
        for key, stem in stems.items()
        if not {key, stem} & (quoted | fixed) and not key.startswith(begun)
    ]
    assert unused == []
    named = set(re.findall(r'\.text\(\s*"([a-z0-9-]+)"', code))
    assert named <= notes.texts.keys()


def test_folders_of_studies_are_found() -> None:
    assert FOLDERS
    assert len(FOLDERS) <= len(STUDIES)
