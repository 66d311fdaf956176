"""Data: labelled images, channels first, always uint8 or float32 in [0, 1], read when needed.

A named set is looked for in `$EPSBALL_DATA`, then in the user's cache, then downloaded from its
publisher; its content is checked against a known hash wherever it came from.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
