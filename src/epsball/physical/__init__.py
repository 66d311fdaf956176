"""From adversarial images to paper and back: printable sheets, and photographs of them."""
