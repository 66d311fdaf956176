"""The RBF-SVM as a torch module, and its solvers."""
