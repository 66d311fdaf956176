"""Classifiers: the zoo, the loading of a user's own model, and what a probe finds out about it.

Names are imported when they are first used, so that importing the room costs nothing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
