# The two commands: `make up` gives a lab, `make test` proves it. Both set up what they need.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
SUDO   := $(if $(filter 0,$(shell id -u)),,sudo)
PYTEST := $(BIN)/pytest
# testcontainers would have to pull its clean-up container; the tests clean up themselves.
export TESTCONTAINERS_RYUK_DISABLED = true

.PHONY: up down setup engine images check lint unit test test-support test-full test-rows test-life chaos test-podman benchmark clean help

help: ## Show this
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

up: engine ## Set up what is missing and bring up as much of the three-controller lab as fits here
	$(BIN)/labctl up three-controller --profile auto

down: setup ## Take the three-controller lab down
	$(BIN)/labctl down --lab three-controller

setup: $(READY) ## Create the virtual environment

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
	  || { $(SUDO) apt-get update -q && $(SUDO) apt-get install -qy python3-venv; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@

engine: setup ## Install and start a container engine if there is none
	$(BIN)/labctl doctor --fix

images: engine ## Build the images that are missing
	$(BIN)/labctl images build

check: lint unit ## Everything that needs no engine

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: setup
	$(PYTEST) -q tests/unit tests/mutation tests/golden tests/errors tests/contract

test: export LABCTL_ENGINE = docker
test: check test-support test-full ## All tests but the long ones (life, rows, chaos), on real labs on Docker

test-support: export LABCTL_ENGINE = docker
test-support: images ## The engine's contract, labs of the support tier, and faults in them
	$(PYTEST) -v --engines docker tests/contract
	$(PYTEST) -v tests/lab
	$(PYTEST) -v --durations=0 tests/chaos

test-full: export LABCTL_ENGINE = docker
test-full: images ## As much of the table as fits here, used for real
	$(PYTEST) -v --durations=20 tests/full --ignore tests/full/test_rows.py

test-rows: export LABCTL_ENGINE = docker
test-rows: images ## Each row of the table without one of its instances (an hour)
	$(PYTEST) -v --durations=20 tests/full/test_rows.py

test-life: export LABCTL_ENGINE = docker
test-life: images ## Labs that are lost and recovered, grown and shrunk, copied (half an hour)
	$(PYTEST) -v --durations=0 tests/life

chaos: export LABCTL_ENGINE = docker
chaos: images ## Every scenario that fits here, and misconfigured labs (over two hours)
	$(PYTEST) -v --durations=0 tests/library

test-podman: export LABCTL_ENGINE = podman
test-podman: setup ## The contract suite and the support tier on Podman
	$(BIN)/labctl doctor --fix
	$(PYTEST) -v --engines podman tests/contract
	$(PYTEST) -v tests/podman

benchmark: images ## Measure the three-controller lab, and compare it with docker compose
	$(BIN)/labctl benchmark

clean: ## Remove the virtual environment and caches (labs and images stay)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
