"""Oracles: models of which only the label can be asked, in this process or over HTTP."""

from epsball.oracles.http import HttpOracle, HttpSettings
from epsball.oracles.local import LabelOnly
from epsball.oracles.protocol import Oracle, OracleClassifier

__all__ = ["HttpOracle", "HttpSettings", "LabelOnly", "Oracle", "OracleClassifier"]
