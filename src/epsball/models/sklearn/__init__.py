"""Models of scikit-learn behind the classifier contract."""
