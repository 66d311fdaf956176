"""epsball: how easily is this image classifier fooled, and what helps?

    from epsball import audit, attacks

The names are loaded when they are first asked for, so that importing epsball costs nothing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = "0.2.0"
