"""A user's own model: `path/to/file.py:factory` and `package.module:factory`."""

import difflib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from torch import nn

from epsball.errors import EpsballError, InvalidInput
from epsball.models.loading.messages import one_line
from epsball.models.loading.request import SCHEMES, Built, Request
from epsball.models.loading.weights import load_weights

T = TypeVar("T")
SHOWN = 8  # names in a message
FORMS = ", ".join(
    (*(f"{scheme}:NAME" for scheme in SCHEMES), "FILE.py:factory, package.module:factory")
)


def from_file(request: Request) -> Built:
    """Run a Python file and call its factory, a class or function, without arguments.

    The file may import its neighbours, as when it is run by `python FILE`.

    Raises:
        InvalidInput: no such file or name, or the user's code raises.
    """
    path, _, name = request.name.rpartition(":")
    file = Path(path)
    if not file.is_file():
        raise InvalidInput(f"{request.spec}: no such file {path}: give path/to/file.py:factory")
    with _importable_from(file.parent.resolve()):
        module = _guarded(lambda: _run(file), f"{request.spec}: running {path}")
        return _built_by_factory(request, module, name)


def from_package(request: Request) -> Built:
    """Import a module, installed or in the current folder, and call its factory without arguments.

    Raises:
        InvalidInput: no such module or name, or the user's code raises.
    """
    package, _, name = request.name.rpartition(":")
    with _importable_from(Path.cwd()):
        doing = f"{request.spec}: importing {package}"
        if not _guarded(lambda: _exists(package), doing):
            raise InvalidInput(
                f"unknown model {request.spec!r}: no module {package!r}{name_forms(package)}"
            )
        module = _guarded(lambda: importlib.import_module(package), doing)
        return _built_by_factory(request, module, name)


def name_forms(near: str) -> str:
    """Return the end of a message: the nearest scheme, if one is near, and all forms of a name."""
    close = difflib.get_close_matches(near, SCHEMES, n=1)
    hint = f"did you mean {close[0]}:NAME? " if close else ""
    return f": {hint}name it as one of {FORMS}"


def _exists(package: str) -> bool:
    if not package or package.startswith("."):
        return False
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError as error:
        # A parent is missing; or it is there, and misses a package of its own.
        return not (error.name and f"{package}.".startswith(f"{error.name}."))


@contextmanager
def _importable_from(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        with suppress(ValueError):  # the user's code may have taken it out itself
            sys.path.remove(str(folder))


def _run(file: Path) -> ModuleType:
    name = f"epsball_user_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise InvalidInput(f"{file} is not a Python file: give path/to/file.py:factory")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses and pickle look for the classes of the file
    spec.loader.exec_module(module)
    return module


def _guarded(run: Callable[[], T], doing: str) -> T:
    try:
        return run()
    except EpsballError:
        raise
    except (Exception, SystemExit) as error:  # scripts that parse arguments when they are imported
        raise InvalidInput(f"{doing} raised {one_line(error)}: mend the model's code") from error


def _built_by_factory(request: Request, module: ModuleType, name: str) -> Built:
    factory = getattr(module, name, None)
    if factory is None:
        public = [key for key, value in vars(module).items() if callable(value) and key[0] != "_"]
        near = difflib.get_close_matches(name, public, n=1, cutoff=0.5)
        some = ", ".join(public[:SHOWN]) or "none"
        hint = f"did you mean {near[0]!r}?" if near else f"among those it has: {some}"
        place = request.name.rpartition(":")[0]
        raise InvalidInput(f"{request.spec}: no class or function {name!r} in {place}: {hint}")
    model = factory
    if not isinstance(factory, nn.Module):  # a finished module lying there is taken as it is
        if not callable(factory):
            raise InvalidInput(
                f"{request.spec}: {name} is a {type(factory).__name__}: name a factory"
            )
        model = _guarded(factory, f"{request.spec}: calling {name}()")
    if not callable(model):
        raise InvalidInput(
            f"{request.spec}: {name}() returned a {type(model).__name__}, not a model: return a "
            "torch module or another callable that maps (n, c, h, w) to scores (n, k)"
        )
    if request.weights is not None:
        _load(model, request)
    # a model whose outermost part is in eval mode has the mode that its author wants, and one that
    # is about to be trained may keep some of its layers in eval mode
    as_returned = model is factory or not request.require_weights
    forgotten = not as_returned and isinstance(model, nn.Module) and model.training
    return Built(model.eval() if forgotten else model, name, put_in_eval=forgotten)


def _load(model: object, request: Request) -> None:
    if not isinstance(model, nn.Module) or request.weights is None:
        raise InvalidInput(
            f"{request.spec} is a {type(model).__name__}, --weights needs a torch module: "
            "load the weights inside the factory"
        )
    load_weights(model, request.weights)
