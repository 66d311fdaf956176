"""Where a network looks: saliency, feature maps, and what maximises a unit."""
