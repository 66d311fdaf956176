"""Reads a page back, so that tests can ask what a browser would find in it."""

from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "input", "hr", "area", "base", "col", "source", "wbr"}


@dataclass
class Read:
    """What was found in a page."""

    tags: Counter[str] = field(default_factory=Counter)
    attributes: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)
    text: str = ""

    def having(self, tag: str, name: str) -> list[str]:
        """Values of an attribute, in page order."""
        return [one[name] for kind, one in self.attributes if kind == tag and name in one]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.read = Read()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.read.tags[tag] += 1
        self.read.attributes.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.read.scripts.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.read.tags[tag] += 1
        self.read.attributes.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"unbalanced </{tag}>"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.read.scripts[-1] += data
        elif "style" not in self.open:
            self.read.text += data


def read_page(html: str) -> Read:
    """Parse a page; an element that is not closed in order is an error."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    reader.read.text = " ".join(reader.read.text.split())
    return reader.read
