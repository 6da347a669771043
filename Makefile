# make demo | test | lint | bench | docs: each installs what it needs into .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH ?= $(wildcard benchmarks/*.py)

.PHONY: help demo test lint bench docs site clean

help: ## List these targets.
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 14

demo: $(VENV)/installed ## Run all five commands on the built-in demo set, in the folder demo/.
	@mkdir -p demo
	@cd demo && PATH="$(abspath $(BIN)):$$PATH" sh ../examples/demo.sh

test: $(VENV)/installed-test ## Run the tests, the import contracts among them.
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(PYTEST_ARGS)

lint: $(VENV)/installed-test ## Check style, types and import directions.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/installed-test ## Run the benchmarks, or one: make bench BENCH=benchmarks/cifar10.py
	@for script in $(BENCH); do echo "python $$script"; $(BIN)/python $$script || exit 1; done

docs: $(VENV)/installed-test ## Write docs/cli.md anew from the commands' own help.
	PYTHONUTF8=1 $(BIN)/python -m typer bitcodes.cli.app utils docs --name bitcodes --title "The commands" --output docs/cli.md

site: ## Build the documentation site in site/, with warnings as errors.
	@test -x $(BIN)/mkdocs || $(BIN)/python -m pip install --quiet 'mkdocs-material>=9.5'
	$(BIN)/mkdocs build --strict

clean: ## Remove what the demo wrote and the caches, not .venv.
	rm -rf demo build site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# The stamps make pip run again only when pyproject.toml changed. The install is editable: a change
# of the code needs no new one.
$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("bitcodes needs Python 3.11 or newer, and $(PYTHON) is %d.%d; name another, as in: make PYTHON=python3.12 demo" % v[:2])'
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@
