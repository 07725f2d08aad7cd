# Two commands: `make demo` and `make test`. Both set up .venv themselves.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.10 || command -v python3)
VENV ?= .venv
BIN = $(VENV)/bin
# tf-keras is Keras 2 from TensorFlow 2.16 on, and has to be asked for before TensorFlow loads.
export TF_USE_LEGACY_KERAS = 1
export TF_CPP_MIN_LOG_LEVEL ?= 3

# The native library, beside the Python code that loads it.
DELEGATE = keras_sparsebnn/runtime/libsparsebnn_delegate.so
DELEGATE_SOURCES = setup.py $(shell find delegate -type f)

.PHONY: help demo test test-fast slow-tests test-native test-sanitized fuzz test-runtimes \
  test-oldest lint typecheck delegate delegate-android aar android-assets apk wheel \
  board-aarch64 board-armv7 docs docs-tables notebooks clean

help:
	@echo "make demo         train, convert, verify and benchmark on bundled data (a few minutes)"
	@echo "make test         the whole test suite"
	@echo "make test-fast    the tests that are not slow, about 3 minutes on two cores"
	@echo "make slow-tests   says which are slow, from the durations of the last make test"
	@echo "make test-native  the delegate's own C++ tests"
	@echo "make test-sanitized  the same under clang's sanitizers; make fuzz looks for new crashes"
	@echo "make test-runtimes  the wheel in LiteRT, tflite-runtime and tf.lite, oldest and newest"
	@echo "make test-oldest  a smoke test on the oldest supported TensorFlow, 2.15"
	@echo "make delegate     builds the native library; 'test' and 'demo' do so when it is stale"
	@echo "make wheel        a wheel for this machine, in dist/"
	@echo "make wheel-aarch64, wheel-armv7, delegate-aarch64, delegate-armv7: for boards"
	@echo "make board-aarch64, board-armv7: wheels that sparsebnn benchmark --device brings to a board"
	@echo "make delegate-android, aar: the library for apps; needs a JDK, the AAR also Maven"
	@echo "make apk          the Android app; needs Debian's apksigner and zipalign, too"
	@echo "make lint         ruff, mypy and clang-format"
	@echo "make docs         the documentation site, in build/site; any warning is an error"
	@echo "make docs-tables  writes the tables in README and docs from benchmarks/"
	@echo "make notebooks    runs the notebooks in docs/tutorials and stores their outputs"
	@echo "make clean        removes the environments and what the demo made"

PIP = $(BIN)/pip install --quiet --disable-pip-version-check
# As in pyproject.toml. Installed once: pip would fetch them for each build, and a compiler at another
# path compiles everything again.
BUILD_TOOLS = 'setuptools>=77' 'cmake>=3.24' 'ninja>=1.11' 'ziglang>=0.15,<0.16'

$(VENV)/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' || \
	  { echo "Expected Python 3.10 to 3.12, got $$($(PYTHON) --version). Run: make PYTHON=python3.11 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip wheel $(BUILD_TOOLS)
	$(PIP) --no-build-isolation --editable '.[dev]'
	@touch $@

# A make of its own: the line above may just have built the library.
delegate: $(VENV)/ready
	@$(MAKE) --no-print-directory $(DELEGATE)

$(DELEGATE): $(DELEGATE_SOURCES)
	$(BIN)/python setup.py --quiet build_ext --inplace

# build/delegate-aarch64-linux/libsparsebnn_delegate.so, and likewise armv7.
delegate-%: $(VENV)/ready
	SPARSEBNN_TARGET=$*-linux $(BIN)/python setup.py --quiet build_ext --build-lib build/lib-$*
	@ls -l build/delegate-$*-linux/libsparsebnn_delegate.so

# build/delegate-android-ABI/libsparsebnn_delegate.so, without the NDK.
delegate-android: $(VENV)/ready
	$(BIN)/python -m android_demo.tools.delegate

# dist/sparsebnn-delegate-VERSION.aar and its sources, from Maven's packages.
aar: $(VENV)/ready
	$(BIN)/python -m android_demo.tools.aar

# Models and images for the app, in build/android/assets: the package's, and two float peers.
android-assets: delegate
	$(BIN)/python -m android_demo.tools.assets

apk: android-assets
	$(BIN)/python -m android_demo.tools.apk

# Without build/lib*, where files that no longer exist would live on.
WHEEL = rm -rf build/lib.* build/lib build/bdist.* && \
  $(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation -w dist .

wheel: $(VENV)/ready
	$(WHEEL)

# Looked at by a test, never run by us: wheel-aarch64-darwin, wheel-x86_64-darwin, wheel-x86_64-windows.
wheel-%-darwin wheel-%-windows: $(VENV)/ready
	export SPARSEBNN_TARGET=$(@:wheel-%=%); $(WHEEL)

wheel-%: $(VENV)/ready
	export SPARSEBNN_TARGET=$*-linux; $(WHEEL)

# dist/board-aarch64: the wheel and what it needs on a board, for its Python (python3 --version there).
# LiteRT has no wheels for armv7, and NumPy neither: a board has NumPy from its own system.
BOARD_PYTHON ?= 3.11
BOARD_DOWNLOAD = $(BIN)/python -m pip download --quiet --only-binary=:all: --python-version $(BOARD_PYTHON)
board-aarch64: wheel-aarch64
	$(BOARD_DOWNLOAD) $(foreach glibc,17 27 28 31 34 35 36,--platform manylinux_2_$(glibc)_aarch64) \
	  --platform manylinux2014_aarch64 --dest dist/$@ "$$(ls dist/keras_sparsebnn-*_aarch64.whl)[device]"

board-armv7: wheel-armv7
	$(BOARD_DOWNLOAD) --platform manylinux_2_34_armv7l --no-deps --dest dist/$@ tflite-runtime==2.14.0
	cp dist/keras_sparsebnn-*_armv7l.whl dist/$@

demo: delegate
	$(BIN)/python demo.py demo

# In the order of the folders, where whole-network tests come first and short ones last, so that
# both processes end at about the same time.
PYTEST = $(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder \
  --junit-xml=build/tests.xml

test: delegate
	$(PYTEST)

test-fast: delegate
	$(PYTEST) -m "not slow" tests/docs tests/packaging tests/property tests/unit

# After `make test` or `make test-fast`, on a machine that does nothing else.
slow-tests:
	$(BIN)/python tests/mark_slow.py build/tests.xml

# Here, or elsewhere under an emulator, in the folder that has the library's objects already:
#   make test-native MACHINE=armv7 EMULATOR="qemu-arm-static;-L;$PWD/build/armv7/root"
MACHINE ?= $(patsubst armv7l,armv7,$(shell uname -m))
EMULATOR ?=
NATIVE = build/delegate-$(MACHINE)-linux
test-native: delegate-$(MACHINE)
	flock $(NATIVE)/lock $(BIN)/cmake -S delegate -B $(NATIVE) \
	  -DCMAKE_CROSSCOMPILING_EMULATOR='$(EMULATOR)' -DSPARSEBNN_TESTS=ON
	flock $(NATIVE)/lock $(BIN)/cmake --build $(NATIVE)
	$(BIN)/ctest --test-dir $(NATIVE) --parallel 2 --output-on-failure

# These two need a clang with its sanitizers on the machine; zig has none.
CLANG ?= clang++
SANITIZERS ?= address,undefined
CMAKE_CLANG = $(BIN)/cmake -S delegate -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja \
  -DCMAKE_CXX_COMPILER=$(CLANG)

test-sanitized: $(VENV)/ready
	$(CMAKE_CLANG) -B build/native-$(CLANG)-$(SANITIZERS) -DSPARSEBNN_SANITIZE=$(SANITIZERS) \
	  -DSPARSEBNN_TESTS=ON -DCMAKE_CXX_FLAGS_RELEASE='-O1 -DNDEBUG' # compiling is most of the time
	$(BIN)/cmake --build build/native-$(CLANG)-$(SANITIZERS)
	$(BIN)/ctest --test-dir build/native-$(CLANG)-$(SANITIZERS) --parallel 2 --output-on-failure

# Each of delegate/fuzz/*.cc for FUZZ_SECONDS, from its seed corpus and its regressions; what it
# finds goes to build/fuzz. The C++ tests run the same inputs.
FUZZ_SECONDS ?= 60
fuzz: $(VENV)/ready
	$(CMAKE_CLANG) -B build/fuzz -DSPARSEBNN_FUZZ=ON
	$(BIN)/cmake --build build/fuzz
	set -e; for source in delegate/fuzz/*.cc; do name=$$(basename $$source .cc); \
	  mkdir -p build/fuzz/corpus/$$name build/fuzz/seeds/$$name; \
	  build/fuzz/$$name -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=build/fuzz/$$name- \
	    build/fuzz/corpus/$$name build/fuzz/seeds/$$name \
	    $$(find delegate/fuzz/regressions -mindepth 1 -name $$name); done

# Installs the wheel beside every TFLite package it claims to work with.
test-runtimes: wheel
	$(BIN)/python tests/packaging/runtimes.py dist/keras_sparsebnn-*_$$(uname -m).whl --tensorflow \
	  $(BIN)/python $(wildcard $(VENV)-tf215/bin/python)

# Few of its modules are used: Python compiles those when it comes to them.
PIP_TF215 = $(VENV)-tf215/bin/pip install --quiet --disable-pip-version-check --no-compile
$(VENV)-tf215/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)-tf215
	$(PIP_TF215) --upgrade pip wheel 'setuptools>=77'
	SPARSEBNN_TARGET=none $(PIP_TF215) --no-build-isolation --editable '.[convert,test]' \
	  --constraint constraints-tf215.txt
	@touch $@

test-oldest: $(VENV)-tf215/ready delegate
	env -u TF_USE_LEGACY_KERAS -u PYTHONDONTWRITEBYTECODE $(VENV)-tf215/bin/pytest -m smoke \
	  --numprocesses 2 --dist loadfile

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $$(find delegate -name '*.h' -o -name '*.cc')
	$(MAKE) --no-print-directory typecheck

typecheck: $(VENV)/ready
	$(BIN)/mypy --config-file setup.cfg

docs-tables: $(VENV)/ready
	$(BIN)/python -m docs.generate

notebooks: $(VENV)/ready
	$(BIN)/python docs/generate/notebooks.py

docs: $(VENV)/ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

clean:
	rm -rf $(VENV) $(VENV)-tf215 demo build dist $(DELEGATE)
