# Everything here sets itself up: Python 3.11+, git and make are all it needs.
#   make run    the tour: API -> object store -> PostgreSQL -> object store, proved      make run ARGS="--days 1"
#   make test   the tests                                                                make test ARGS="tests/unit -k paging"
#   make matrix every fault at every place of every route, a line each; `make test` takes some    make matrix ARGS="kill pg"
#   make check  linters, types, locks: what CI runs beside the tests

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# A base image may set flags for tools that this project does not use; the environment of the tests is our own.
export PYTHONDONTWRITEBYTECODE :=
export XDG_RUNTIME_DIR ?= $(CURDIR)/.venv/run

.PHONY: run test matrix check format lock lint types drift clean

run: $(VENV)/.run-ready
	@$(BIN)/python src/main.py $(ARGS)

test: $(VENV)/.dev-ready
	@$(BIN)/python -m pytest -n auto $(ARGS)

matrix: $(VENV)/.dev-ready
	@$(BIN)/python -m tests.faults $(ARGS)
	@$(BIN)/python -m pytest -n auto -m matrix

check: lint types drift

lint: $(VENV)/.dev-ready
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/.dev-ready
	@$(BIN)/mypy
	@$(BIN)/mypy tests/typing

drift: $(VENV)/.dev-ready
	@$(BIN)/python tools/lock.py --check

format: $(VENV)/.dev-ready
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: $(VENV)/.dev-ready
	@$(BIN)/python tools/lock.py

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"de-classes needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}. Name another: make PYTHON=python3.12")'
	@echo "Making a virtual environment in $(VENV) (once) ..."
	@$(PYTHON) -m venv $(VENV)
	@mkdir -p -m 700 $(VENV)/run
	@touch $@

$(VENV)/.run-ready: $(VENV)/.created requirements.txt pyproject.toml
	@echo "Installing requirements.txt (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.dev-ready: $(VENV)/.created requirements.txt requirements-dev.txt pyproject.toml
	@echo "Installing requirements-dev.txt (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@ $(VENV)/.run-ready

clean:
	rm -rf $(VENV) .de-classes .mypy_cache .ruff_cache .pytest_cache .hypothesis
