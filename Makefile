# The tasks of the house. A new machine needs python3 (3.11 or later) and make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PEERS := .venv-peers
PEERS_READY := $(PEERS)/.ready
BENCH := .venv-bench
BENCH_READY := $(BENCH)/.ready
TIMEOUT ?= 20

.PHONY: demo test setup fmt lint types test-slow bench bench-peers docs check

demo: $(READY)  ## train a small network twice, audit both, print a table and the report's path
	$(BIN)/epsball demo --out demo-run

test: $(READY)  ## the default suite, CPU only; on a busy machine TIMEOUT=120
	# the workers share the cores: one thread each, and idle threads sleep
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -n auto --dist worksteal --timeout $(TIMEOUT) -m "not slow and not peer and not gpu"

setup: $(READY)  ## the virtual environment with everything pinned

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

fmt: $(READY)  ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(READY)  ## style, spelling, and who may import whom
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell src tests docs adr benchmarks README.md ARCHITECTURE.md CONTRIBUTING.md CHANGELOG.md
	$(BIN)/lint-imports

types: $(READY)  ## mypy --strict on src and tests
	$(BIN)/mypy

test-slow: $(READY) $(PEERS_READY)  ## what takes long, and what compares with other libraries
	$(BIN)/python -m pytest -m "slow and not gpu"
	$(PEERS)/bin/python -m pytest -m peer

$(PEERS_READY): pyproject.toml constraints.txt constraints-peers.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --constraint constraints.txt torch
	$(PEERS)/bin/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	# torchattacks asks for torchvision and an old requests; its attacks need neither
	$(PEERS)/bin/python -m pip install --quiet --no-deps --requirement constraints-peers.txt
	touch $@

bench: $(READY)  ## the engine and the trainer against the bare passes they cannot do without
	$(BIN)/python benchmarks/engine_floor.py
	$(BIN)/python benchmarks/training_floor.py

bench-peers: $(BENCH_READY)  ## beside other libraries: ARGS="--autoattack CHECKOUT --case mnist"
	$(BENCH)/bin/python -m benchmarks.peers --train $(ARGS)

$(BENCH_READY): pyproject.toml constraints.txt benchmarks/peers/constraints.txt
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --constraint constraints.txt torch==2.13.0
	$(BENCH)/bin/python -m pip install --quiet --constraint constraints.txt torch==2.13.0 --editable ".[dev]"
	$(BENCH)/bin/python -m pip install --quiet --no-deps --requirement benchmarks/peers/constraints.txt
	touch $@

docs: $(READY)  ## the tables of the docs, made from the tables of the code
	$(BIN)/python docs/make_tables.py

check: lint types  ## everything CI asks for beside the tests
