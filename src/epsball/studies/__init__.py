"""Studies: a plan of hashed cells, run anywhere, whose rows say whether a source's claims hold.

The names are loaded when they are first asked for.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
