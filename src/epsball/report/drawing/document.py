"""From blocks to one HTML document that loads nothing: templates, script, and the lock on both."""

import base64
import functools
import hashlib
import os
import re
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import jinja2
import platformdirs
import vl_convert
from markupsafe import Markup

from epsball.report.drawing import numbers
from epsball.report.drawing.figure import NARROW, WIDE, Figure, live_specs
from epsball.report.drawing.palette import stylesheet

_TEMPLATES = Path(__file__).parents[1] / "templates"


def render(template: str, figures: list[Figure], **context: Any) -> bytes:  # noqa: ANN401
    """Fill a template.

    Args:
        template: its file name.
        figures: every figure of the page; the script brings them to life.
        context: what the template asks for.

    Returns:
        The document, UTF-8.
    """
    script = _script()
    page = _environment().get_template(template)
    text = page.render(
        colours=stylesheet(),
        policy=_policy(script),
        script=Markup(script),  # noqa: S704 - our own bundle, see _script
        specs=live_specs(figures),
        wide=WIDE,
        narrow=NARROW,
        **context,
    )
    return text.encode()


def breakable(text: str) -> Markup:
    """Escape a name and let it break behind its punctuation: narrow screens meet long variants.

    Example:
        >>> str(breakable("pgd:objective=<b>"))
        'pgd:<wbr>objective=<wbr>&lt;b&gt;'
    """
    return Markup("<wbr>").join(re.findall(r"[^:=,/]+[:=,/]*|[:=,/]+", text))


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,  # class names, paths and messages come from strangers
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = breakable
    environment.filters["count"] = numbers.count
    environment.filters["percent"] = numbers.percent
    environment.filters["interval"] = numbers.interval
    return environment


@functools.cache
def _script() -> str:
    """Return Vega with our few lines; it holds no end tag that could close its own element.

    Bundling takes a second or two, and the result depends on our lines and the version of
    vl-convert alone: it is kept in the user's cache, where that can be written.
    """
    live = (_TEMPLATES / "live.js").read_text(encoding="utf-8")
    version = metadata.version("vl-convert-python")
    key = hashlib.sha256(f"{version} {live}".encode()).hexdigest()[:16]
    file = Path(platformdirs.user_cache_dir("epsball")) / "page" / f"vega-{key}.js"
    with suppress(OSError):
        return file.read_text(encoding="utf-8")
    bundle = str(vl_convert.javascript_bundle(live))
    bundle = bundle.replace("\r\n", "\n").replace("</script", "<\\/script")
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_name(f".{file.name}.{os.getpid()}")  # others may write it as well
        beside.write_text(bundle, encoding="utf-8", newline="\n")
        beside.replace(file)
    return bundle


def _policy(script: str) -> str:
    """Forbid every request, and every script but ours: a class name cannot smuggle one in."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
