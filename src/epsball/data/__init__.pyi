from .load import default_eps as default_eps
from .load import load_data as load_data
from .sampling import choose as choose
from .sampling import stratified_order as stratified_order
from .spec import DataSpec as DataSpec
from .table import DATASETS as DATASETS
from .unit import to_unit as to_unit
