from .audit.page import write_report as write_report
from .comparison.page import write_comparison as write_comparison
from .study.markdown import write_study_page as write_study_page
from .study.page import write_study as write_study
from .training.page import write_training_report as write_training_report
