"""The command `epsball`: parse, call, print. Nothing heavy is imported before it is needed."""

import os
import sys
import warnings

from epsball.errors import EpsballError, Stopped
from epsball.machine.cores import wait_passively
from epsball.machine.memory import reuse_freed_memory

STOPPED = 130  # as shells have it: 128 and the number of SIGINT


def main() -> None:
    """Run the command line; errors of ours are one line on standard error and exit code 2."""
    wait_passively(os.environ)  # both before anything loads torch
    reuse_freed_memory()
    from epsball.cli.app import app
    from epsball.cli.console.show import complain, tell

    try:
        with warnings.catch_warnings():
            if not sys.warnoptions:  # python -W shows those of libraries
                warnings.simplefilter("ignore")
            app()
    except Stopped as stopped:
        tell(str(stopped))
        sys.exit(STOPPED)
    except EpsballError as error:
        complain(str(error))
        sys.exit(2)
    except OSError as error:
        # a full disk or a missing permission is no bug of ours, and no traceback helps
        where = f"{error.filename}: " if error.filename else ""
        complain(f"{where}{error.strerror or error}; free some space or choose another path")
        sys.exit(2)
