from . import attacks as attacks
from . import data as data
from . import defences as defences
from . import errors as errors
from . import models as models
from . import report as report
from . import training as training
from .data import load_data as load_data
from .errors import EpsballError as EpsballError
from .evaluation.audit import audit as audit
from .evaluation.result import Audit as Audit
from .models import load_model as load_model

__version__: str
