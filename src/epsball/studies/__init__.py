"""Studies: plans of hashed cells whose rows decide whether the claims of a source hold.

The names are loaded when they are first asked for.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
