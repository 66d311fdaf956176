from . import attacks as attacks
from .data import load_data as load_data
from .evaluation.audit import Audit as Audit
from .evaluation.audit import audit as audit
from .models import load_model as load_model

__version__: str
