"""The benchmark against other libraries: same model, images and budget, interleaved runs.

python -m benchmarks.peers --weights DIR [--train] [--autoattack CHECKOUT]
"""
