"""Fitted defences: rejectors around a classifier, and the table of them.

The names are loaded when they are first asked for, so that importing epsball costs nothing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
