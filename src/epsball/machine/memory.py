"""How the C library hands out the memory of large tensors. No torch.

By default glibc returns a block above 32 MB to the system when it is freed, and the free end of its
heap too. The next pass then touches fresh pages, which the kernel has to fill with zeros, four
kilobytes at a time.
"""

import ctypes
import os
from collections.abc import MutableMapping

_HUGE_PAGES = "THP_MEM_ALLOC_ENABLE"  # read by torch at its first allocation
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # numbers of glibc's malloc.h
_LARGEST = 2**30  # bytes; larger blocks still come from the system one by one
_USERS_OWN = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")


def reuse_freed_memory(environment: MutableMapping[str, str] = os.environ) -> bool:
    """Let this process keep the memory of freed tensors, and use huge pages for large ones.

    Scores do not change. It costs memory: up to a third more at the peak was measured (adr/0010).
    It has to be called before torch is loaded.

    Args:
        environment: of this process; a child that is started later inherits the huge pages.

    Returns:
        Whether freed memory is kept: not where the user has set glibc's own variables, nor where
        the C library is another one.
    """
    environment.setdefault(_HUGE_PAGES, "1")
    if any(name in environment for name in _USERS_OWN):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # macOS, Windows, musl
        return False
    return all(mallopt(option, _LARGEST) == 1 for option in (_MMAP_THRESHOLD, _TRIM_THRESHOLD))
