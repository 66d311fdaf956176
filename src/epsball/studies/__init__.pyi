from .claims.table import load_claims as load_claims
from .core.cell import Cell as Cell
from .core.running import StudyResult as StudyResult
from .core.running import run_study as run_study
from .core.spec import StudySpec as StudySpec
from .core.store import read_rows as read_rows
from .core.store import read_study as read_study
from .table import STUDIES as STUDIES
