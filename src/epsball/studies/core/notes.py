"""The sentences of a study: one Markdown template beside its code. Imports no torch."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined, Template

from epsball.errors import BrokenContract
from epsball.evaluation.metrics.present import percent
from epsball.studies.claims.story import Block, CellText, PlotBlock, Section, Story, TableBlock
from epsball.studies.claims.table import Verdict

ANSWER, CHOICES = "answer", "notes"
_HEADING = re.compile(r"^(#{1,3}) +(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Notes:
    """The texts of a study's notes.md.

    The file has one first-level heading, the question, with the answer below it. A second-level
    heading "key: Title" is a section of the page, its text is the section's introduction, and
    "notes: Title" holds the list of choices and departures. Any other second-level heading only
    groups texts. A third-level heading names a text that code asks for: a caption, a reason.
    Every text is a jinja2 template.

    Args:
        question: the title of the page.
        sections: (key, title) in reading order.
        texts: templates by key.
    """

    question: str
    sections: tuple[tuple[str, str], ...]
    texts: Mapping[str, str]

    def text(self, key: str, **values: Any) -> str:  # noqa: ANN401 - any value of the template
        """Return a text as one paragraph.

        Args:
            key: of the text.
            **values: of the template's variables; each of them has to be given.

        Raises:
            BrokenContract: no text has this key.
        """
        return _one_line(self._render(key, values))

    def items(self, key: str, **values: Any) -> tuple[str, ...]:  # noqa: ANN401 - see `text`
        """Return the items of a list ("- ...")."""
        parts = re.split(r"^- ", self._render(key, values), flags=re.MULTILINE)
        return tuple(_one_line(part) for part in parts if part.strip())

    def table(
        self,
        key: str,
        heads: str,
        rows: Sequence[Sequence[CellText]],
        *,
        folded: bool = False,
        **values: Any,  # noqa: ANN401 - see `text`
    ) -> TableBlock:
        """Return a table whose caption is the text "KEY-table"; see `TableBlock`."""
        return TableBlock(self.text(f"{key}-table", **values), heads, rows, folded)

    def figure(
        self,
        key: str,
        x: str,
        y: str,
        points: Sequence[Mapping[str, Any]],
        *,
        lines: bool = True,
        shares: str = "y",
        **values: Any,  # noqa: ANN401 - see `text`
    ) -> PlotBlock:
        """Return a figure with the texts "KEY-figure" and "KEY-alt"; see `PlotBlock`."""
        caption, alt = self.text(f"{key}-figure", **values), self.text(f"{key}-alt", **values)
        return PlotBlock(key, caption, alt, x, y, points, lines, shares)

    def _render(self, key: str, values: Mapping[str, Any]) -> str:
        if key not in self.texts:
            raise BrokenContract(f"notes.md has no text {key!r}: {', '.join(self.texts)}")
        return _template(self.texts[key]).render(values)


def write_story(
    notes: Notes,
    values: Mapping[str, Any],
    blocks: Mapping[str, Sequence[Block]],
    verdicts: Sequence[Verdict],
) -> Story:
    """Combine a study's texts with its tables, figures and verdicts.

    Args:
        notes: the texts.
        values: of the variables in answer, introductions and notes.
        blocks: tables and figures by the key of their section.
        verdicts: one per claim.

    Raises:
        BrokenContract: blocks of a section that notes.md does not have.
    """
    unknown = blocks.keys() - {key for key, _ in notes.sections}
    if unknown:
        raise BrokenContract(f"notes.md has no section {', '.join(sorted(unknown))}")
    sections = [
        Section(key, title, notes.text(key, **values), blocks.get(key, ()))
        for key, title in notes.sections
    ]
    choices = notes.items(CHOICES, **values) if CHOICES in notes.texts else ()
    answer = notes.text(ANSWER, **values)
    return Story(notes.question, answer, sections, verdicts, choices)


@cache
def read_notes(package: str) -> Notes:
    """Read the notes.md of a study.

    Args:
        package: of the study: "epsball.studies.red_blue".

    Raises:
        BrokenContract: no question, or two texts with one key.
    """
    return parse_notes(files(package).joinpath("notes.md").read_text(encoding="utf-8"))


def parse_notes(markdown: str) -> Notes:
    r"""Split a notes.md into its texts; see `Notes` for the format.

    Args:
        markdown: the content of the file.

    Example:
        >>> notes = parse_notes("# Is it so?\n{{ n }} of 3.\n## cost: The cost\nSeconds.")
        >>> notes.question, notes.sections, notes.text("answer", n=2)
        ('Is it so?', (('cost', 'The cost'),), '2 of 3.')
    """
    question, sections, texts = "", [], dict[str, str]()
    headings = list(_HEADING.finditer(markdown))
    ends = [heading.start() for heading in headings[1:]] + [len(markdown)]
    for heading, end in zip(headings, ends, strict=True):
        level, line = len(heading[1]), heading[2].strip()
        key, colon, title = (part.strip() for part in line.partition(":"))
        if level == 1:
            question, key = line, ANSWER
        elif level == 2 and not colon:
            continue
        elif level == 2 and key != CHOICES:
            sections.append((key, title))
        if key in texts:
            raise BrokenContract(f"notes.md has two texts {key!r}")
        texts[key] = markdown[heading.end() : end].strip()
    if not question:
        raise BrokenContract("notes.md has no first-level heading: the question")
    return Notes(question, tuple(sections), texts)


@cache
def _template(text: str) -> Template:
    # Markdown and plain text: the report escapes what it puts into HTML
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, autoescape=False)  # noqa: S701
    environment.filters["percent"] = percent
    return environment.from_string(text)


def _one_line(text: str) -> str:
    return re.sub(r"[ \n]+", " ", text).strip()
