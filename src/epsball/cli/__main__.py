"""`python -m epsball.cli` is the command `epsball`."""

from epsball.cli import main

main()
