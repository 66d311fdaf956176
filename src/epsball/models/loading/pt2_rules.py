"""Which strings may stand in the program of a torch.export archive.

Sizes are evaluated by sympy, names become source code, operators are looked up by dotted path: what
is none of the plain forms that torch itself writes is refused.
"""

import ast
import json
import re
from pathlib import Path
from typing import NoReturn

import torch

from epsball.errors import InvalidInput

# No bracket, quote or space: as source code it can call nothing.
PLAIN = re.compile(r"[\w.]{0,300}", re.ASCII)
SCALAR_OPS = re.compile(
    r"_operator\.(add|sub|mul|floordiv|truediv|mod|neg|pow|eq|ne|lt|le|gt|ge|and_|or_|getitem)"
    r"|math\.(floor|ceil|trunc|sqrt)|torch\.sym_(max|min|float|int|not|ite|sum|sqrt)"
)
TOUCH_FILES = ("from_file", "save")  # the two aten operators that take a file name
# What symbolic sizes are made of.
SYMBOLIC = re.compile(
    "Symbol|Integer|Rational|Float|Add|Mul|Pow|Max|Min|Eq|Ne|Lt|Le|Gt|Ge|And|Or|Not|true|false"
    "|Equality|Unequality|StrictLessThan|LessThan|StrictGreaterThan"  # codespell:ignore unequality
    "|GreaterThan|FloorDiv|CeilDiv|Mod"
    "|PythonMod|CleanDiv|ModularIndexing|Where|PowByNatural|FloatPow|FloatTrueDiv|IntTrueDiv|CeilToInt"
    "|FloorToInt|TruncToInt|TruncToFloat|RoundToInt|RoundDecimal|ToFloat|Identity|LShift|RShift"
)
CONTAINERS = frozenset({None, "builtins.tuple", "builtins.list", "builtins.dict"})


def check_strings(file: Path, value: object, key: str = "") -> None:
    """Check every string below a JSON value, by the rule of the key that it stands under.

    Args:
        file: for the message.
        value: what json.loads gives.
        key: under which it stands.

    Raises:
        InvalidInput: a string could run code, or is not known not to.
    """
    if isinstance(value, dict):
        for name, held in value.items():
            check_strings(file, name)
            check_strings(file, held, name)
    elif isinstance(value, list):
        for held in value:
            check_strings(file, held, key)
    elif isinstance(value, str) and not _RULES.get(key, PLAIN.fullmatch)(value):
        refuse(file, f"{key or 'name'} {value[:80]!r} is none that a classifier needs")


def refuse(file: Path, reason: str) -> NoReturn:
    """Raise the error for an archive that could run code.

    Raises:
        InvalidInput: always.
    """
    raise InvalidInput(
        f"{file} is refused: loading it could run code ({reason}): give the weights as safetensors "
        "with --weights and the architecture as FILE.py:factory"
    )


def _is_operator(target: str) -> bool:
    space, _, rest = target.partition("aten.")
    name, _, overload = rest.partition(".")
    if space != "torch.ops." or name in TOUCH_FILES:
        return SCALAR_OPS.fullmatch(target) is not None
    found = getattr(getattr(torch.ops.aten, name, None), overload, None)
    return isinstance(found, torch._ops.OpOverload)


def _is_symbolic(expression: str) -> bool:
    """Tell whether an expression is made of sympy constructors, names and numbers alone."""
    try:
        tree = ast.parse(expression, mode="eval")
    except SyntaxError:
        return False
    return all(
        isinstance(node, ast.Expression | ast.Load | ast.keyword | ast.USub | ast.UnaryOp)
        or (isinstance(node, ast.Call) and isinstance(node.func, ast.Name))
        or (isinstance(node, ast.Name) and SYMBOLIC.fullmatch(node.id))
        or (isinstance(node, ast.Constant) and PLAIN.fullmatch(str(node.value)))
        for node in ast.walk(tree)
    )


def _is_plain_tree(serialised: str) -> bool:
    _, tree = json.loads(serialised)
    nodes = [tree]
    for node in nodes:  # grows while it is read
        names = re.sub(r'[\[\]", ]', "", node["context"] or "")  # a dictionary's keys, as a list
        if node["type"] not in CONTAINERS or not PLAIN.fullmatch(names):
            return False
        nodes.extend(node["children_spec"])
    return True


def _anything(_: str) -> bool:
    return True


# Keys whose strings are no plain names. Arguments are always quoted; the version is only printed.
_RULES = {
    "target": _is_operator,
    "expr_str": _is_symbolic,
    "in_spec": _is_plain_tree,
    "out_spec": _is_plain_tree,
    "as_string": _anything,
    "as_strings": _anything,
    "torch_version": _anything,
}
