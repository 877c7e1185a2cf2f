# Everything a developer or CI types. Needs python3 (3.11 or later, with venv), make and a C compiler; the rest is
# installed into .venv, CMake included where the system has none. Standard input may be closed.
#
#   make demo    a first look: builds, generates a shim, runs a real program under it
#   make test    all tests, on the wheel installed into .venv (never on the checkout)
#   make lint    ruff, mypy --strict, every C file with -Wall -Wextra -Werror
#   make soak    the tests with their full counts (hours)
#   make bench   the benchmarks: a table, and JSON in build/
#
# PYTHON=..., CC=..., VENV=... and TESTS="tests/test_x.py -k word" are taken from the command line.

PYTHON ?= python3
CC ?= cc
VENV ?= .venv
TESTS ?= tests
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
SOURCES := $(shell find generator templates runtime consumer cmake -type f -not -path '*/__pycache__/*' -not -name '*.o')
# Test programs pass bad pointers on purpose; a file names further flags that it needs behind "lint-flags:".
FLAGS := -std=gnu11 -O2 -Wall -Wextra -Werror -Wno-nonnull -Wno-stringop-overread -Wno-stringop-overflow

# Tests that run make must not find that they are below this one.
ALONE := env -u MAKELEVEL -u MAKEFLAGS -u MFLAGS

.PHONY: demo test lint soak bench clean

demo: $(VENV)/.wheel
	@PATH="$(abspath $(BIN)):$$PATH" sh examples/demo.sh </dev/null

test: $(VENV)/.wheel $(VENV)/.dev
	$(ALONE) $(BIN)/pytest $(TESTS) </dev/null

soak: $(VENV)/.wheel $(VENV)/.dev
	$(ALONE) $(BIN)/pytest --soak --timeout 0 $(TESTS) </dev/null

bench: $(VENV)/.wheel
	$(BIN)/python -m benchmarks </dev/null

lint: $(VENV)/.wheel $(VENV)/.dev
	$(BIN)/ruff check .
	@rm -rf .lint && mkdir -p .lint/wc_intercept
	@for folder in generator templates runtime consumer; do ln -s ../../$$folder .lint/wc_intercept/$$folder; done
	cd .lint && $(abspath $(BIN))/mypy --config-file ../pyproject.toml --strict -p wc_intercept
	@echo "$(CC): every C file with -Wall -Wextra -Werror"
	@set -e; shim="$$($(BIN)/python -c 'from wc_intercept.generator.toolchain import COMPILE; print(*COMPILE)')"; \
	for source in $$(find runtime/shim -name '*.c'); do \
	    $(CC) $$shim -Werror -Iruntime/include -Iruntime/shim -c $$source -o /dev/null; done
	@set -e; for source in $$(find runtime/tracer -name '*.c'); do \
	    $(CC) $(FLAGS) -fno-strict-aliasing -Iruntime/include -Iruntime/tracer -c $$source -o /dev/null; done
	@set -e; for source in $$(find consumer tests/c examples benchmarks -name '*.c'); do \
	    $(CC) $(FLAGS) $$(sed -n 's|.*lint-flags: \(.*\)\*/.*|\1|p' $$source) -Iruntime/include \
	        -c $$source -o /dev/null; done

# The wheel, built from the checkout and installed without it.
$(VENV)/.wheel: $(SOURCES) CMakeLists.txt pyproject.toml $(VENV)/.build
	@command -v $(firstword $(CC)) >/dev/null || { echo "make: no C compiler '$(CC)': apt-get install gcc libc6-dev" >&2; exit 1; }
	$(PIP) install --no-build-isolation --force-reinstall --no-deps . </dev/null
	$(PIP) install . --no-build-isolation </dev/null
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.build
	$(PIP) install hypothesis mypy pytest pytest-timeout ruff </dev/null
	@touch $@

$(VENV)/.build: $(BIN)/python
	$(PIP) install 'scikit-build-core>=1.1' $$(command -v cmake >/dev/null || echo cmake) </dev/null
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' </dev/null || \
	    { echo "make: $(PYTHON) is missing or older than 3.11: install one, or say PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' </dev/null 2>/dev/null || \
	    { echo "make: $(PYTHON) comes without venv: apt-get install python3-venv (or python3-pip's equivalent)" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV) </dev/null

clean:
	rm -rf $(VENV) .lint build dist
