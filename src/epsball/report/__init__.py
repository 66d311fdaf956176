"""Turn a finished run into one page that opens anywhere. Never imports torch.

Example:
    >>> from epsball import report
    >>> sorted(report.__all__)
    ['write_comparison', 'write_report', 'write_study', 'write_study_page', 'write_training_report']
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from epsball.report.comparison import write_comparison
    from epsball.report.page import write_report
    from epsball.report.study_markdown import write_study_page
    from epsball.report.study_page import write_study
    from epsball.report.training import write_training_report

_WHERE = {
    "write_report": "page",
    "write_comparison": "comparison",
    "write_study": "study_page",
    "write_study_page": "study_markdown",
    "write_training_report": "training",
}

__all__ = [
    "write_comparison",
    "write_report",
    "write_study",
    "write_study_page",
    "write_training_report",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - each public name has its own type
    """Load a public name when it is first asked for."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
