# Two commands set everything up: `make demo` and `make test`. Each makes .venv, builds and installs what it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(wildcard cython_core/*.pyx cython_core/*.pxd cython_core/*.h) setup.py pyproject.toml
# Plain `torch` on Linux pulls gigabytes of CUDA; this release has a CPU build where one is offered.
TORCH ?= torch==2.13.0
# Programs the tests compare with. Their own requirements would move PyTorch, NumPy or setuptools, so they come without.
PEERS := neurobench snntorch brevitas 'dependencies==2.0.1' unfoldNd onnxoptimizer

# Tests of compiled code that run on the sanitized build (not those that cap memory: it needs terabytes of addresses).
SANITIZED := build/sanitized
SANITIZED_TESTS := $(addprefix tests/runtime/,test_engine.py test_samples.py test_threads.py test_fuzz_engine.py test_stream.py test_live.py) \
	$(addprefix tests/events/,test_fuzz.py test_formats.py test_policies.py test_emulate.py)
PRELOAD = $(shell $(CC) -print-file-name=libasan.so):$(shell $(CC) -print-file-name=libubsan.so)

.PHONY: demo test lint types docs debug sanitize bench clean help

help:
	@echo "make demo    compile the shipped network and run it on the shipped event recordings"
	@echo "make test    run the tests"
	@echo "make lint    ruff"
	@echo "make types   mypy on the public interface, as a user's program sees it"
	@echo "make docs    the documentation as a site, in build/site"
	@echo "make debug   run the tests on a build that checks every index"
	@echo "make sanitize  the same under AddressSanitizer and UndefinedBehaviorSanitizer"
	@echo "make bench   the engine beside every installed peer, a minute or two"

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

types: $(VENV)/test
	$(BIN)/mypy tests/typing

docs: $(VENV)/test
	$(BIN)/python -m sphinx -b html -q -E -a -W --keep-going -d build/doctrees docs build/site
	@echo "wrote build/site/index.html"

debug: $(VENV)/test
	GXEVENT_DEBUG_BUILD=1 $(BIN)/python setup.py --quiet build_ext --inplace --force
	$(BIN)/python -m pytest -n auto tests/runtime; status=$$?; touch cython_core/*.pyx; \
	$(BIN)/python setup.py --quiet build_ext --inplace --force; exit $$status

# A tree of its own: the ordinary build stays as it is. Python's own allocator would hide overruns.
sanitize: $(VENV)/test
	rm -rf $(SANITIZED)
	GXEVENT_SANITIZE=1 $(BIN)/python setup.py --quiet build --build-base build/sanitized-temp --build-lib $(SANITIZED)
	cp -r tests pyproject.toml $(SANITIZED)
	cd $(SANITIZED) && export GXEVENT_DATA="$${GXEVENT_DATA:-$(abspath ../shared/data)}" LD_PRELOAD="$(PRELOAD)" PYTHONMALLOC=malloc \
		ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1; \
	$(abspath $(BIN))/python -c "import gxevent.core._plan as m; assert '$(SANITIZED)' in m.__file__, m.__file__" && \
	$(abspath $(BIN))/python -m pytest -q -n auto -p no:cacheprovider -k "not memory_cap" $(SANITIZED_TESTS)

bench: $(VENV)/test
	$(BIN)/gxevent bench --quick

clean:
	rm -rf $(VENV) build dist *.egg-info cython_core/*.so
