"""The benchmark against other libraries: same model, pictures and budget, interleaved runs.

python -m benchmarks.peers --weights DIR [--train] [--autoattack CHECKOUT]
"""
