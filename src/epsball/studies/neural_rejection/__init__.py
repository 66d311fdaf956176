"""Study: Neural Rejection and Deep Neural Rejection."""
