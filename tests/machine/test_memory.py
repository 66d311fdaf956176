"""Freed memory is kept by the command and by a study's processes, and the user's choice stays."""

import os
import subprocess
import sys

import pytest

from epsball.machine.memory import reuse_freed_memory

TOUCHED = """
import os, resource, sys
if sys.argv[1] == "kept":
    from epsball.machine.memory import reuse_freed_memory
    assert reuse_freed_memory()
import torch
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def passes():
    for _ in range(5):
        torch.ones(12_000_000)  # 48 MB, freed at once; glibc itself keeps up to 32
passes()
before = faults()
passes()
print(faults() - before)
"""


def _page_faults(mode: str) -> int:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC", "GLIBC"))}
    command = [sys.executable, "-c", TOUCHED, mode]
    return int(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc only")
def test_a_freed_tensor_is_used_again_without_fresh_pages() -> None:
    assert _page_faults("kept") * 10 < _page_faults("as torch comes")


def test_what_the_user_has_set_stays() -> None:
    environment = {"MALLOC_TRIM_THRESHOLD_": "1000", "THP_MEM_ALLOC_ENABLE": "0"}
    assert not reuse_freed_memory(environment)
    assert environment == {"MALLOC_TRIM_THRESHOLD_": "1000", "THP_MEM_ALLOC_ENABLE": "0"}
