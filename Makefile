# Two commands do all the set-up: `make demo` and `make test` create .venv and install what they need.
PYTHON ?= python3
BIN := .venv/bin
STORE ?= demo-store

.PHONY: help demo test check format docs clean
help:
	@echo "make demo    rank seven pretrained small encoders on generated scenes, and write a report (about 5 minutes on 2 cores)"
	@echo "make test    run the tests"
	@echo "make check   lint, format, types, and whether the docs build"
	@echo "make format  let ruff format the code"
	@echo "make docs    build the documentation site into site/"
	@echo "make clean   remove the environment and the demo's store"

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: .venv/installed
	$(BIN)/segrank demo --store $(STORE)

test: .venv/installed
	$(BIN)/pytest -n auto --dist worksteal

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/zensical build --strict

docs: .venv/installed
	$(BIN)/zensical build --strict
	@echo "open site/index.html"

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv site .cache $(STORE)
