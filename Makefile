PYTHON ?= python3
BIN := .venv/bin
CORE := .venv/.core
EVERYTHING := .venv/.everything

.PHONY: demo test test-all clean

demo: $(CORE)
	$(BIN)/ovss-personal demo

test: $(EVERYTHING)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n auto --dist worksteal

test-all: test
	$(BIN)/python -m pytest -m slow

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache

# `demo` needs the core alone; a test may need anything.
$(CORE): pyproject.toml setup.py constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -c constraints.txt -e .
	touch $@

$(EVERYTHING): $(CORE)
	$(BIN)/python -m pip install -c constraints.txt -e '.[san,odise,pss,bench,web,notebooks,dev]'
	touch $@
