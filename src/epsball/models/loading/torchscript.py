"""Files of TorchScript: `torch.jit.save`."""

import warnings

import torch

from epsball.errors import InvalidInput
from epsball.models.loading.exported import existing_file
from epsball.models.loading.messages import one_line
from epsball.models.loading.request import Built, Request


def from_jit(request: Request) -> Built:
    """Load `jit:FILE`, a model that was scripted or traced.

    Its code is TorchScript, which torch compiles; no Python in the file is run.

    Raises:
        InvalidInput: there is no such file, it is damaged, or --weights is given.
    """
    file = existing_file(request)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own, that TorchScript is old
            model = torch.jit.load(str(file), map_location=request.device)  # type: ignore[no-untyped-call]  # torch's
    except Exception as error:  # RuntimeError for most damage, ValueError for a missing archive
        raise InvalidInput(
            f"{request.spec} cannot be loaded by torch {torch.__version__} ({one_line(error)}): "
            "the file is damaged or not of torch.jit.save; export the model again"
        ) from error
    forgotten = bool(getattr(model, "training", False))
    return Built(model.eval() if forgotten else model, file.stem, put_in_eval=forgotten)
