# Two commands: `make demo` and `make test`. Both set up .venv themselves.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.10 || command -v python3)
VENV ?= .venv
BIN = $(VENV)/bin
# tf-keras is Keras 2 from TensorFlow 2.16 on, and has to be asked for before TensorFlow loads.
export TF_USE_LEGACY_KERAS = 1
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: help demo test test-oldest lint typecheck clean

help:
	@echo "make demo         train, convert, verify and benchmark on bundled data (a few minutes)"
	@echo "make test         the whole test suite"
	@echo "make test-oldest  a smoke test on the oldest supported TensorFlow, 2.15"
	@echo "make lint         ruff and mypy"
	@echo "make clean        removes the environments and what the demo made"

$(VENV)/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' || \
	  { echo "Expected Python 3.10 to 3.12, got $$($(PYTHON) --version). Run: make PYTHON=python3.11 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade pip setuptools wheel
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(VENV)/ready
	$(BIN)/python demo.py demo

test: $(VENV)/ready
	$(BIN)/pytest --numprocesses 2 --dist loadfile

$(VENV)-tf215/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)-tf215
	$(VENV)-tf215/bin/pip install --quiet --disable-pip-version-check --upgrade pip setuptools wheel
	$(VENV)-tf215/bin/pip install --quiet --disable-pip-version-check --editable '.[dev]' \
	  --constraint constraints-tf215.txt
	@touch $@

test-oldest: $(VENV)-tf215/ready
	env -u TF_USE_LEGACY_KERAS $(VENV)-tf215/bin/pytest -m smoke --numprocesses 2 --dist loadfile

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(MAKE) --no-print-directory typecheck

# In the checkout converters/ is a folder of its own; mypy has to see it where it is installed.
typecheck: $(VENV)/ready
	rm -rf build/typecheck && mkdir -p build/typecheck
	cp -r keras_sparsebnn build/typecheck && cp -r converters build/typecheck/keras_sparsebnn
	cd build/typecheck && $(abspath $(BIN))/mypy --config-file $(CURDIR)/setup.cfg

clean:
	rm -rf $(VENV) $(VENV)-tf215 demo
