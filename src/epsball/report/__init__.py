"""Turn a finished run into one page that opens anywhere. Never imports torch.

Example:
    >>> from epsball import report
    >>> sorted(report.__all__)
    ['write_comparison', 'write_report', 'write_study', 'write_study_page', 'write_training_report']
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
