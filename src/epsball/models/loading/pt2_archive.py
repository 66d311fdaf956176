"""Reading a torch.export archive as data.

`torch.export.load` unpickles parts of an archive and, less well known, evaluates others as Python:
the symbolic sizes (sympy), the names of the graph (which become source code), the guards, and
operators named by any dotted path below `torch`. So an archive is read here as plain zip and JSON,
everything that is not needed is dropped (sample inputs, guards, stack traces, other files),
everything that is needed is checked against what torch itself writes for a classifier, and only
the copy made of the checked parts is given to torch.
"""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from epsball.errors import InvalidInput
from epsball.models.loading.messages import one_line
from epsball.models.loading.pt2_rules import check_strings, refuse

MODEL = "models/model.json"
PAYLOADS = {
    "data/weights/": ("data/weights/model_weights_config.json", re.compile(r"weight_\d+")),
    "data/constants/": ("data/constants/model_constants_config.json", re.compile(r"tensor_\d+")),
}
DYNAMIC = "dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)"


def cleaned(file: Path) -> io.BytesIO:
    """Check an archive and copy what a classifier needs of it.

    Args:
        file: what `torch.export.save` wrote.

    Returns:
        An archive that `torch.export.load` reads without unpickling or evaluating anything.

    Raises:
        InvalidInput: the file is damaged, of an older format, holds pickles or anything else that
            could run code, was exported in train mode, or takes batches of one size only.
    """
    members = _members(file)
    try:
        kept = dict(_checked_payloads(file, members))
        program = json.loads(members[MODEL])
        _drop_what_is_not_needed(program)
        check_strings(file, program)
        _check_signature(file, program)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, RecursionError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(
            f"{file} is not laid out as torch.export.save lays it out ({one_line(error)}): "
            "export it again"
        ) from error
    kept[MODEL] = json.dumps(program).encode()
    return _packed(kept, members)


def _members(file: Path) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(file) as archive:
            members = {
                name.partition("/")[2]: archive.read(name)  # below one root folder of any name
                for name in archive.namelist()
            }
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise InvalidInput(
            f"{file} is not an archive of torch.export.save ({one_line(error)}): "
            "it is damaged, cut short, or of another kind"
        ) from error
    if members.get("archive_format") != b"pt2" or MODEL not in members:
        raise InvalidInput(
            f"{file} is not an archive that torch.export.save of torch 2.9 or newer wrote: export "
            "the model again with torch.export.save(torch.export.export(...), FILE)"
        )
    return members


def _checked_payloads(file: Path, members: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    for folder, (config_name, pattern) in PAYLOADS.items():
        if config_name not in members:
            refuse(file, f"{folder} holds pickled tensors")
        config = json.loads(members[config_name])
        check_strings(file, config)
        yield config_name, json.dumps(config).encode()
        for name, payload in config["config"].items():
            if payload["use_pickle"] is not False or not pattern.fullmatch(payload["path_name"]):
                refuse(file, f"{name} is a pickle")
            path = folder + payload["path_name"]
            yield path, members[path]


def _drop_what_is_not_needed(program: dict[str, Any]) -> None:
    module = program["graph_module"]
    program["guards_code"] = []  # source code; torch makes its own from the checked sizes
    module["metadata"] = {}
    module["treespec_namedtuple_fields"] = {}
    module["module_call_graph"] = [call for call in module["module_call_graph"] if not call["fqn"]]
    for node in module["graph"]["nodes"]:
        node["metadata"] = {}


def _check_signature(file: Path, program: dict[str, Any]) -> None:
    module = program["graph_module"]
    signature = module["signature"]
    if training := _in_train_mode(module["graph"]["nodes"]):
        raise InvalidInput(
            f"{file} was exported in train mode ({training}): call model.eval() first, then export "
            "again"
        )
    inputs = [
        spec["user_input"]["arg"] for spec in signature["input_specs"] if "user_input" in spec
    ]
    if len(inputs) != 1 or "as_tensor" not in inputs[0]:
        raise InvalidInput(
            f"{file} takes {len(inputs)} inputs, a classifier takes one batch of images: export "
            "a module whose forward has one argument"
        )
    sizes = module["graph"]["tensor_values"][inputs[0]["as_tensor"]["name"]]["sizes"]
    if "as_int" in sizes[0]:
        raise InvalidInput(
            f"{file} takes batches of exactly {sizes[0]['as_int']}, the audit uses many sizes: "
            f"export again with torch.export.export(model, (images,), {DYNAMIC}) on two images"
        )


def _in_train_mode(nodes: list[dict[str, Any]]) -> str:
    """Give the first operator (batch norm, dropout) that was told to act as in training, or ""."""
    for node in nodes:
        flags = [given["arg"] for given in node["inputs"] if given["name"] in ("training", "train")]
        if {"as_bool": True} in flags:
            return str(node["target"])
    return ""


def _packed(kept: dict[str, bytes], members: dict[str, bytes]) -> io.BytesIO:
    same = ("archive_format", "archive_version", "byteorder", ".data/version")
    # No sample inputs: an empty member is the format's own way to say so, and is never unpickled.
    extra = {
        "data/sample_inputs/model.pt": b"",
        **{name: members[name] for name in same if name in members},
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in {**extra, **kept}.items():
            archive.writestr(f"model/{name}", content)
    packed.seek(0)
    return packed
