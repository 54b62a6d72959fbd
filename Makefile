# Two commands set everything up: `make demo` and `make test`. Each makes .venv, builds and installs what it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(wildcard cython_core/*.pyx cython_core/*.pxd cython_core/*.h) setup.py pyproject.toml
# Plain `torch` on Linux pulls gigabytes of CUDA; this release has a CPU build where one is offered.
TORCH ?= torch==2.13.0
# Programs the tests compare with. Their own requirements would move PyTorch, NumPy or setuptools, so they come without.
PEERS := neurobench snntorch brevitas 'dependencies==2.0.1' unfoldNd onnxoptimizer

.PHONY: demo test lint debug bench clean help

help:
	@echo "make demo    compile the shipped network and run it on the shipped event recordings"
	@echo "make test    run the tests"
	@echo "make lint    ruff"
	@echo "make debug   run the tests on a build that checks every index"
	@echo "make bench   engine beside the NumPy reference"

$(VENV)/base: $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/test: $(VENV)/base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[train,events,report,mapping,brian2,interop,nirtorch,cluster,dev]' '$(TORCH)'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps $(PEERS)
	touch $@

demo: $(VENV)/base
	$(BIN)/gxevent demo

test: $(VENV)/test
	$(BIN)/python -m pytest -n auto

lint: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

debug: $(VENV)/test
	GXEVENT_DEBUG_BUILD=1 $(BIN)/python setup.py --quiet build_ext --inplace --force
	$(BIN)/python -m pytest -n auto tests/runtime; status=$$?; touch cython_core/*.pyx; \
	$(BIN)/python setup.py --quiet build_ext --inplace --force; exit $$status

bench: $(VENV)/test
	$(BIN)/python benchmarks/engine_vs_reference.py

clean:
	rm -rf $(VENV) build dist *.egg-info cython_core/*.so
