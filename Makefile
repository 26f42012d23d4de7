# make demo   install, and run the main job on real input
# make test   install, and run the tests
# make check  all that must hold before a commit
# make bench  the benchmarks
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check bench format clean

demo: $(VENV)/installed
	$(BIN)/graftwork demo $(DEMO)

test: $(VENV)/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder $(TEST)

check: $(VENV)/installed-dev
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy
	$(MAKE) test

bench: $(VENV)/installed-dev
	$(BIN)/python benchmarks/lora_step.py
	$(BIN)/python benchmarks/deidentify.py
	$(BIN)/python benchmarks/quality.py
	$(BIN)/python benchmarks/near_duplicates.py
	$(BIN)/python benchmarks/prepare.py
	$(BIN)/python benchmarks/packing.py
	$(BIN)/python benchmarks/adapters.py

format: $(VENV)/installed-dev
	$(BIN)/ruff format src tests benchmarks
	$(BIN)/ruff check --fix src tests benchmarks

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("graftwork needs Python 3.11 or newer, this is " + sys.version) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check --quiet -c constraints.txt torch
	$(BIN)/pip install --disable-pip-version-check --quiet -c constraints.txt -e '.[bundled]'
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/pip install --disable-pip-version-check --quiet -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache
