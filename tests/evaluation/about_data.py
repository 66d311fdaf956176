"""Findings about data and how it meets the model: `test_data_findings.py` raises each of them."""

ABOUT_DATA = {
    "class-order",
    "flat-scores",
    "class-shares",
    "unknown-classes",
    "class-order-assumed",
    "classes-matched",
    "below-chance",
    "images-nearly-black",
    "other-scaling",
    "foreign-gradient",
}
