# make quickstart | test | test-onedl | lint | docs | wheel | test-wheel | clean
#
# PYTHON  the interpreter that the virtual environment is made with
# EXTRA   openmmlab (the stock packages) or onedl (the maintained forks)
# VENV    the virtual environment; one for each of the two, as they share import names
# TESTS   folders and files
# JOBS    how many tests run at once, each on one core

PYTHON ?= python3
EXTRA ?= openmmlab
VENV ?= .venv$(patsubst %,-%,$(filter-out openmmlab,$(EXTRA)))
TESTS ?= tests
JOBS ?= auto

BIN = $(VENV)/bin
READY = $(VENV)/.ff_mm-$(EXTRA)
READY_FOR_TESTS = $(READY)-tests
READY_FOR_DOCS = $(READY)-docs
INSTALL = $(BIN)/python -m pip --disable-pip-version-check install --editable

# Where the forks can differ: what extends MMEngine and MMPretrain, configs, the tools,
# and a plan and its soups, which stock MMPretrain loads.
OF_FORKS = tests/engine tests/models tests/tools tests/test_config.py tests/test_config_files.py \
	tests/test_cli.py tests/test_commands.py \
	tests/fission/test_generation_runner.py tests/fusion/test_soup_runner.py \
	tests/fusion/test_deployment.py

.PHONY: quickstart test test-onedl lint docs wheel test-wheel clean

quickstart: $(READY)
	$(BIN)/python tools/train.py configs/fgg_digits_resnet18.py
	$(BIN)/python tools/soup.py configs/gog_digits_resnet18.py --soup best uniform greedy gou gog

test: $(READY_FOR_TESTS)
	$(BIN)/python -m pytest -n $(JOBS) --maxprocesses 8 --dist worksteal $(TESTS)

test-onedl:
	$(MAKE) test EXTRA=onedl TESTS="$(OF_FORKS)"

lint: $(READY_FOR_TESTS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The site, in build/docs; its notebooks are executed. What is amiss is an error.
docs: $(READY_FOR_DOCS)
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/docs

# Sdist and wheel, in dist/.
wheel: $(READY)
	$(BIN)/python -m pip --disable-pip-version-check install --quiet build twine
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*

# The wheel takes the place of the checkout in the environment, and is used elsewhere.
test-wheel: wheel
	$(BIN)/python -m pip uninstall --quiet --yes ff_mm
	$(BIN)/python -m pip --disable-pip-version-check install "$$(ls dist/*.whl)[$(EXTRA)]"
	rm -f $(READY) $(READY_FOR_TESTS) $(READY_FOR_DOCS)
	.ci/try_wheel $(abspath $(BIN))

clean:
	rm -rf build dist *.egg-info .pytest_cache .hypothesis .mypy_cache .ruff_cache

# Installed once, and again when setup.py changes. A venv without pip is one whose
# making was interrupted.
$(READY): setup.py
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(INSTALL) ".[$(EXTRA)]"
	touch $@

$(READY_FOR_TESTS): setup.py
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(INSTALL) ".[$(EXTRA),tests]"
	touch $(READY) $@

$(READY_FOR_DOCS): setup.py
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(INSTALL) ".[$(EXTRA),docs]"
	touch $(READY) $@
