PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
NAME ?= first_mnist
SWEEP ?= $(NAME)
MODEL ?= model.onnx
ARGS ?=
KERNELS := src/paretune/batch_last/kernels/*

.DEFAULT_GOAL := help
.PHONY: help setup demo train sweep pareto confirm export recipes ui test test-all test-cluster cluster-deps check format lock bench docs clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(READY)  ## .venv with everything pinned in requirements.lock

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python `$(PYTHON) -V` is too old; expected 3.11 or newer; run make PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

demo: $(READY)  ## a small sweep on digits (no network), its front and its picture
	$(BIN)/paretune sweep digits_demo $(ARGS)
	$(BIN)/paretune pareto digits_demo

train: $(READY)  ## one training; ARGS='model=conv data=digits' are Hydra overrides
	$(BIN)/paretune train $(ARGS)

sweep: $(READY)  ## the sweep sweeps/NAME.yaml; started again, it goes on
	$(BIN)/paretune sweep $(NAME) $(ARGS)

pareto: $(READY)  ## the front of SWEEP: table, CSV, JSON, picture, report.html
	$(BIN)/paretune pareto $(SWEEP) $(ARGS)

confirm: $(READY)  ## the front of SWEEP again with five seeds, the test set read once each; ARGS='--jobs 2'
	$(BIN)/paretune confirm $(SWEEP) $(ARGS)

export: $(READY)  ## the model to take of SWEEP as MODEL (model.onnx); ARGS='--max-params 2000 --c'
	$(BIN)/paretune export $(SWEEP) $(MODEL) $(ARGS)

recipes: $(READY)  ## train the published recipes (ONLY='era_*', ARGS='--jobs 2'), write docs/recipes.md
	$(BIN)/python -m studies.recipes $(ONLY) $(ARGS)

ui: $(READY)  ## the MLflow UI on this store, at http://127.0.0.1:5000
	$(BIN)/paretune ui $(ARGS)

test: $(READY)  ## the fast tests (twenty minutes on two cores, no network)
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n auto --maxprocesses 4 --dist loadgroup -m 'not slow and not cluster' $(ARGS)

test-all: $(READY)  ## all tests but those of test-cluster
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n auto --maxprocesses 2 --dist loadgroup -m 'not cluster' $(ARGS)

test-cluster: $(READY)  ## sweeps through a real Slurm, PostgreSQL and MLflow server on loopback (as root)
	$(BIN)/pytest -q -rs -m cluster $(ARGS)

cluster-deps:  ## what test-cluster needs, on Debian
	apt-get update -q && apt-get install -y -q slurm-wlm munge postgresql

check: $(READY)  ## format, lint, types, floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/clang-format --dry-run --Werror $(KERNELS)
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)  ## put the code in the house style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/clang-format -i $(KERNELS)

# torch of any build; no line for Paretune itself, which its extras name
lock: $(READY)  ## pin today's newest versions that pyproject.toml admits (torch stays at the pinned one)
	$(BIN)/pip-compile --quiet --extra all --extra dev --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header --annotation-style line --upgrade --constraint constraints.txt --output-file requirements.lock pyproject.toml
	sed -i -e "s/^\(torch==[0-9.]*\)+cpu/\1/" -e "/^paretune @/d" -e "s/paretune, paretune (/paretune (/" -e "s/paretune\(,\|$$\)/paretune (pyproject.toml)\1/" requirements.lock

bench: $(READY)  ## the figures of docs (hours; MNIST; `cluster` needs root, PostgreSQL, grpcio); ARGS='throughput asks' for some
	$(BIN)/python -m bench $(ARGS)

docs: $(READY)  ## the documents as a site in site/, with an API reference; links are checked
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:  ## remove .venv and all caches; runs, data and reports stay
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis site
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
