"""Views: random or fixed changes of an image over which a transfer attack averages gradients."""
