# make demo      measure the network that the package ships, with a figure
# make check     the quick checks: format, lint, types, import layers and the tests not marked slow
# make test      every check; with WORKERS=8 the tests of this and of check run in so many processes
# make fuzz      damaged files of all formats, for SECONDS=600, drawn from SEED=0
# make docs      the documentation as a site, in build/docs
# make generate  write what is written into docs/: the command's reference, the structure's figures,
#                 the reproduction's tables
# make notebooks  run the notebooks in docs/, and keep what they print and draw
# make format    format the code, and mend what the linter can
# All make their own virtual environment first. PYTHON=python3.12 chooses another interpreter.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Python compiles a module when it is first imported; pip would compile all of them, which takes longer
# than all else that it does.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt

# Checks start many processes, which would else compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

# Importing Keras takes seconds.
KERAS := tests/reading/keras tests/tracing/test_same_network.py

.PHONY: demo check test compiled quick-tests all-tests lint fuzz docs notebooks generate format clean

demo: $(VENV)/.installed
	mkdir -p demo-output
	$(BIN)/clusterability measure example:fashion-mnist-mlp \
	    --json demo-output/result.json --csv demo-output/labels.csv --figure demo-output/sheet.png
	@echo "Written: demo-output/result.json, labels.csv, sheet.png"

# mypy takes one processor: it runs beside the tests.
check: $(VENV)/.installed-dev
	$(MAKE) --jobs=2 lint quick-tests

test: $(VENV)/.installed-dev
	$(MAKE) --jobs=2 lint all-tests

# Neighbouring tests go to the same process, where they share what a module's tests have in common.
WORKERS ?= 2
PYTEST := $(BIN)/pytest -n $(WORKERS) --dist worksteal

# The inner loops are compiled once, while mypy runs, and not in each test process.
compiled: $(VENV)/.installed-dev
	$(BIN)/clusterability measure example:fashion-mnist-mlp --shuffles 1 > /dev/null

quick-tests: compiled
	$(PYTEST) -m "not slow" $(KERAS:%=--ignore=%)

all-tests: compiled
	$(PYTEST)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

SECONDS ?= 600
SEED ?= 0

fuzz: $(VENV)/.installed-dev
	PYTHONPATH=tests $(BIN)/python -m fuzz --seconds $(SECONDS) --seed $(SEED)

docs: generate
	$(BIN)/python -m sphinx -q -W --keep-going -c docs . build/docs
	@echo "Written: build/docs/index.html"

notebooks: $(VENV)/.installed-dev
	$(BIN)/python docs/run_notebooks.py

generate: $(VENV)/.installed-dev
	$(BIN)/python docs/cli_reference.py
	$(BIN)/python docs/structure.py
	$(BIN)/python docs/reproduced_tables.py
	$(BIN)/python docs/pictures.py

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; name one: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt
	$(INSTALL) --editable .
	touch $@

$(VENV)/.installed-dev: $(BIN)/python pyproject.toml constraints.txt
	$(INSTALL) --editable '.[dev]'
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) demo-output build dist
