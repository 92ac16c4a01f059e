# Builds, tests and checks corepy; every target sets up what it needs and does nothing twice.
#
#   make demo      handwritten digits, classified by corepy
#   make test      kernels under sanitizers, the Rust tests, the Python tests at every SIMD level
#   make lint      formatting, types, generated files, and what the native library may contain
#   make coverage  line coverage of the Python package and of the Rust runtime
#   make bits      every digest, layout, thread count and SIMD level of this machine: minutes
#   make stress    forks, exits, interrupts and panics, twenty times each
#   make tsan      the scheduler's Rust tests under ThreadSanitizer; needs rust-src
#   make junk      a million calls with junk arguments; minutes
#   make fuzz      buffers, DLPack structs, arrays and pickles drawn at random; minutes
#   make fuzz-lanes  lane programs drawn at random, run in every way, and mutated texts; a quarter of an hour
#   make memcheck  Rust tests and a script through every operation under valgrind; builds its own library
#   make soak      100,000 cycles and 1,000 forks: memory stays flat; minutes
#   make bench     against NumPy, numexpr and, after `make bench-venv`, PyTorch; ONLY=sum runs a part, QUICK=1
#                  takes a minute or two; more of the kind: docs/performance.md
#   make wheel     dist/corepy-*.whl, one for CPython 3.11 and all later ones
#   make generate  what follows from the op table
#   make clean     removes everything that was built
#
# Needed: Rust 1.88 or newer with rustfmt and clippy, g++ 12 or newer with its sanitizers, Python
# 3.11 or newer with venv. Everything else goes into .venv, target and build in this folder.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules --no-print-directory

PYTHON ?= python3
ifeq ($(origin CXX),default)
CXX := g++
endif

VENV := $(CURDIR)/.venv
PY := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
NATIVE := python/corepy/_native.abi3.so
BUILD := build
JOBS := $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)

# cargo and maturin get the same environment, so that neither undoes what the other has built.
export PYO3_PYTHON := $(PY)
export CXX
export CARGO_TARGET_DIR := $(CURDIR)/target

.PHONY: demo test bits stress tsan junk fuzz fuzz-lanes fuzz-programs memcheck lint coverage bench soak wheel generate clean build kernels-test rust-test python-test sanitized cross

# ---- set-up and build

$(INSTALLED): requirements-dev.txt
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	touch $@

NATIVE_SOURCES := $(shell find rust/corepy-runtime rust/corepy-python csrc/src csrc/include -type f \
	\( -name '*.rs' -o -name '*.toml' -o -name '*.cpp' -o -name '*.h' \)) \
	Cargo.toml Cargo.lock pyproject.toml

# The library is the target itself: deleting it builds it again.
$(NATIVE): $(INSTALLED) $(NATIVE_SOURCES)
	$(VENV)/bin/maturin develop --release --locked --quiet
	touch $@

build: $(NATIVE)

WHEEL := dist/.built

$(WHEEL): $(NATIVE) README.md LICENSE $(shell find python -name '*.py' -o -name '*.pyi' -o -name py.typed)
	rm -rf dist
	$(VENV)/bin/maturin build --release --locked --quiet --compatibility linux --out dist
	touch $@

wheel: $(WHEEL)

generate: $(INSTALLED)
	$(PY) ops/generate.py

# ---- demo and benchmarks

.PHONY: bench-venv bench-limits bench-pytest bench-compare bench-misses bench-arena bench-threshold bench-tuning bench-flame

demo: $(NATIVE)
	$(PY) examples/digits/demo.py

# The peers run in a venv of their own when there is one: PyTorch's wheel brings 5 GB of CUDA libraries.
TORCH := torch==2.15.0
BENCH_VENV := $(CURDIR)/.venv-bench
BENCH_PY := $(if $(wildcard $(BENCH_VENV)/.installed),$(BENCH_VENV)/bin/python,$(PY))
BENCH_TOOLS := $(VENV)/.bench-installed
BENCH := PYTHONPATH=$(CURDIR)/python $(BENCH_PY) -m

$(BENCH_TOOLS): requirements-bench.txt $(INSTALLED)
	$(PY) -m pip install --quiet --disable-pip-version-check --requirement requirements-bench.txt
	touch $@

bench-venv:
	test -x $(BENCH_VENV)/bin/python || $(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-cache-dir \
	    --constraint requirements-dev.txt --requirement requirements-bench.txt numpy pytest $(TORCH)
	touch $(BENCH_VENV)/.installed

bench: $(NATIVE) $(BENCH_TOOLS)
	$(BENCH) benchmarks $(if $(ONLY),--only "$(ONLY)") $(if $(QUICK),--quick) $(ARGS)

# Bandwidth of each cache and of DRAM, peak multiply-adds, hand-off latency.
bench-limits: $(NATIVE) $(BENCH_TOOLS)
	$(BENCH) benchmarks.limits

# The same cases through pytest-benchmark; the quick ones unless ONLY chooses.
bench-pytest: $(NATIVE) $(BENCH_TOOLS)
	ONLY="$(ONLY)" $(BENCH) pytest -p no:cacheprovider --override-ini=addopts= --benchmark-sort=name \
	    benchmarks/through_pytest.py $(ARGS)

# OLD=a.json NEW=b.json: what got slower.
bench-compare: $(BENCH_TOOLS)
	$(BENCH) benchmarks.compare "$(OLD)" "$(NEW)" $(ARGS)

# CASE="sum float32 1,000,000": cache misses of one call.
bench-misses: $(NATIVE) $(BENCH_TOOLS)
	$(BENCH) benchmarks.cache_misses "$(CASE)" $(ARGS)

# Scratch from the arena against the heap; from which size on threads pay.
bench-arena: $(NATIVE)
	$(PY) -m benchmarks.memory --arena $(ARGS)

bench-threshold: $(NATIVE)
	$(PY) -m benchmarks.scheduler --only sweep $(ARGS)

# Shipped costs against those that tune measures on this machine.
bench-tuning: $(NATIVE)
	$(PY) -m benchmarks.tuning $(ARGS)

# Before anything is built for them.
ifneq ($(filter bench-misses bench-flame,$(MAKECMDGOALS)),)
ifeq ($(CASE),)
$(error CASE="sum float32 1,000,000" names the case; `make bench ARGS=--list` lists all)
endif
endif
ifneq ($(filter bench-compare,$(MAKECMDGOALS)),)
ifeq ($(and $(OLD),$(NEW)),)
$(error OLD=a.json NEW=b.json name two reports, each the report.json of a `make bench`)
endif
endif

INFERNO_VERSION := 0.12.8
INFERNO := $(CURDIR)/target/tools/bin/inferno-flamegraph

# It folds what perf has sampled and draws it.
$(INFERNO):
	CARGO_TARGET_DIR=target/tools/build cargo install inferno --version $(INFERNO_VERSION) --locked --quiet \
	    --root $(CURDIR)/target/tools
	rm -rf target/tools/build

# CASE="sum float32 1,000,000": a flame graph of all threads as SVG in benchmarks/report.
bench-flame: $(NATIVE) $(BENCH_TOOLS) $(INFERNO)
	PATH="$(dir $(INFERNO)):$$PATH" $(BENCH) benchmarks.flame "$(CASE)" $(ARGS)

soak: $(NATIVE)
	$(PY) -m benchmarks.memory --soak $(ARGS)

# ---- tests

# The whole product of layouts, thread counts and levels; the tests take a part of it.
bits: $(NATIVE)
	for level in $$($(PY) -c 'import corepy; print(*corepy.simd_levels())'); do \
	    COREPY_SIMD=$$level $(PY) tests/golden/digests.py --check; done

test: kernels-test rust-test python-test

# The kernels under AddressSanitizer and UBSan, at the level that most machines use. Kernels
# allocate nothing, so there are no leaks to look for (and ptrace to look for them may be forbidden).
FEATURES := $(shell grep -m1 -E '^flags' /proc/cpuinfo 2>/dev/null)
LEVEL := $(if $(and $(filter avx2,$(FEATURES)),$(filter fma,$(FEATURES)),$(filter bmi2,$(FEATURES))),x86_64_v3,portable)
LEVEL_FLAGS := $(if $(filter x86_64_%,$(LEVEL)),-march=$(subst _,-,$(LEVEL)))
SANITIZED := $(BUILD)/sanitized/$(LEVEL)
SANITIZED_FLAGS := -std=c++20 -O1 -g1 -Wall -Wextra -Wno-psabi -fno-exceptions -fno-rtti -fno-math-errno \
	-fno-trapping-math -ffp-contract=off -fno-threadsafe-statics \
	-fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all \
	-Icsrc/include -Icsrc/src -DCOREPY_LEVEL=$(LEVEL) $(LEVEL_FLAGS)
KERNEL_OBJECTS := $(patsubst csrc/src/%.cpp,$(SANITIZED)/src/%.o,$(wildcard csrc/src/*.cpp))
KERNEL_TESTS := $(patsubst csrc/tests/%.cpp,$(SANITIZED)/tests/%,$(wildcard csrc/tests/test_*.cpp))
RUN_SANITIZED := ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1

$(SANITIZED)/src/%.o: csrc/src/%.cpp Makefile
	@mkdir -p $(@D)
	$(CXX) $(SANITIZED_FLAGS) -MMD -MP -c $< -o $@

$(SANITIZED)/tests/%: csrc/tests/%.cpp $(KERNEL_OBJECTS) Makefile
	@mkdir -p $(@D)
	$(CXX) $(SANITIZED_FLAGS) -MMD -MP $< $(KERNEL_OBJECTS) -o $@

-include $(wildcard $(SANITIZED)/src/*.d $(SANITIZED)/tests/*.d)

sanitized: $(KERNEL_TESTS)

kernels-test:
	@test -n "$(KERNEL_TESTS)" || { echo "no kernel tests in csrc/tests" >&2; exit 1; }
	@$(MAKE) -j$(JOBS) sanitized
	@for program in $(KERNEL_TESTS); do echo "== $$program"; $(RUN_SANITIZED) $$program; done

# After the extension, so that the kernels' objects are there.
rust-test: $(NATIVE)
	cargo test --release --locked --quiet --package corepy-runtime

python-test: $(NATIVE)
	$(PY) .ci/test_levels.py

# What depends on the moment is repeated, twenty times each.
STRESS_RUNS ?= 20
stress: $(NATIVE)
	COREPY_TEST_RUNS=$(STRESS_RUNS) $(PY) -m pytest --quiet tests/test_fork.py tests/test_interrupts.py
	for run in $$(seq $(STRESS_RUNS)); do \
	    $(PY) -m pytest --quiet tests/test_threads.py tests/test_memory.py \
	        --deselect tests/test_memory.py::test_long_runs_stay_flat && \
	    cargo test --release --locked --quiet --package corepy-runtime --lib -- scheduler:: && \
	    cargo test --release --locked --quiet --package corepy-runtime --test scheduler --test exhausted || exit 1; \
	done

junk: $(NATIVE)
	COREPY_JUNK_CALLS=100000 COREPY_JUNK_SEEDS=10 $(PY) -m pytest --quiet tests/test_junk.py

# Random programs on every backend at every level, with every number of threads and block size, then texts that are cut,
# mixed and swapped.
fuzz-lanes: $(NATIVE)
	COREPY_FUZZ_PROGRAMS=20000 COREPY_FUZZ_BLOCKS=8 cargo test --release --locked --quiet --package corepy-runtime \
	    --test programs -- random_programs_have_the_bits --show-output
	COREPY_FUZZ_EXAMPLES=20000 $(PY) -m pytest --quiet tests/test_fuzz_lanes.py

fuzz: $(NATIVE)
	COREPY_FUZZ_EXAMPLES=10000 $(PY) -m pytest --quiet tests/test_fuzz_memory.py tests/test_fuzz_pickle.py

CARGO_FUZZ_VERSION := 0.13.2
CARGO_FUZZ := $(CURDIR)/target/tools/bin/cargo-fuzz
FUZZ_SECONDS ?= 600

$(CARGO_FUZZ):
	CARGO_TARGET_DIR=target/tools/build cargo install cargo-fuzz --version $(CARGO_FUZZ_VERSION) --locked --quiet \
	    --root $(CURDIR)/target/tools
	rm -rf target/tools/build

# Texts of lane programs under AddressSanitizer, starting from the examples; what it keeps stays in build/fuzz.
fuzz-programs: $(INSTALLED) $(CARGO_FUZZ)
	mkdir -p build/fuzz/programs
	$(PY) -m rust.fuzz.dictionary > build/fuzz/programs.dict
	cd rust/fuzz && RUSTC_BOOTSTRAP=1 $(CARGO_FUZZ) run --fuzz-dir . --target-dir $(CURDIR)/target/fuzz programs \
	    $(CURDIR)/build/fuzz/programs $(CURDIR)/examples/lanes -- -max_total_time=$(FUZZ_SECONDS) \
	    -dict=$(CURDIR)/build/fuzz/programs.dict -only_ascii=1 -max_len=2000 -timeout=20

memcheck: $(INSTALLED)
	$(PY) .ci/memcheck.py

# The standard library is built with the sanitizer too, for which the toolchain has to be told that it
# may use what is not stable. Children of forks go on with threads, which the sanitizer has to be told.
TSAN := RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer" RUST_TEST_THREADS=1 \
	TSAN_OPTIONS="die_after_fork=0" CARGO_TARGET_DIR=$(CURDIR)/target/tsan \
	cargo test -Zbuild-std --target $(shell uname -m)-unknown-linux-gnu --locked --quiet --package corepy-runtime

tsan:
	@test -d "$$(rustc --print sysroot)/lib/rustlib/src/rust/library" || \
	    { echo "needs the sources of the standard library: rustup component add rust-src" >&2; exit 1; }
	$(TSAN) --lib -- scheduler::
	$(TSAN) --test scheduler

# ---- checks

CPP_FILES := $(shell find csrc -name '*.cpp' -o -name '*.h')
TYPED := python/corepy ops benchmarks tests/typed_use.py rust/fuzz/dictionary.py $(wildcard .ci/*.py examples/*/*.py)

# The level that this machine cannot run has to compile, where a cross compiler is.
CROSS_CXX := $(if $(filter-out aarch64,$(shell uname -m)),$(shell command -v aarch64-linux-gnu-g++ 2>/dev/null))
CROSS_OBJECTS := $(if $(CROSS_CXX),$(patsubst csrc/src/%.cpp,$(BUILD)/aarch64/%.o,$(wildcard csrc/src/*.cpp)))

$(BUILD)/aarch64/%.o: csrc/src/%.cpp Makefile
	@mkdir -p $(@D)
	$(CROSS_CXX) -std=c++20 -O1 -Wno-psabi -fno-exceptions -fno-rtti -ffp-contract=off -Icsrc/include -Icsrc/src \
	    -DCOREPY_LEVEL=aarch64 -MMD -MP -c $< -o $@

-include $(wildcard $(BUILD)/aarch64/*.d)

cross: $(CROSS_OBJECTS)
	@$(if $(CROSS_CXX),,echo "aarch64: skipped, there is no aarch64-linux-gnu-g++")

lint: $(NATIVE) $(WHEEL)
	cargo fmt --all --check
	$(VENV)/bin/clang-format --dry-run --Werror $(CPP_FILES)
	$(VENV)/bin/ruff check --quiet .
	$(VENV)/bin/ruff format --quiet --check .
	$(PY) ops/generate.py --check
	$(PY) .ci/check_sources.py
	cargo clippy --release --locked --quiet --workspace --all-targets -- -D warnings
	$(VENV)/bin/mypy --strict $(TYPED)
	$(PY) -m mypy.stubtest corepy --allowlist .ci/stubtest_allowlist.txt --allowlist .ci/stubtest_absent.txt
	$(PY) .ci/check_native.py
	$(PY) .ci/check_wheel.py
	@$(MAKE) -j$(JOBS) cross

# ---- coverage, with floors of 90 % (Python) and 80 % (Rust)

TARPAULIN_VERSION := 0.37.5
TARPAULIN := $(CURDIR)/target/tools/bin/cargo-tarpaulin

# Its installation takes about five minutes, once.
$(TARPAULIN):
	CARGO_TARGET_DIR=target/tools/build cargo install cargo-tarpaulin --version $(TARPAULIN_VERSION) \
	    --locked --quiet --root $(CURDIR)/target/tools
	rm -rf target/tools/build

coverage: $(NATIVE) $(TARPAULIN)
	$(PY) -m pytest --quiet --ignore=tests/kernels --cov --cov-fail-under=90
	$(TARPAULIN) tarpaulin --engine ptrace --timeout 600 --package corepy-runtime --target-dir target/coverage --skip-clean \
	    --include-files 'rust/corepy-runtime/src/*' --fail-under 80 --out Stdout

clean:
	rm -rf $(VENV) $(BENCH_VENV) target dist $(BUILD) coverage benchmarks/report examples/digits/out examples/lanes/out $(NATIVE) \
	    .pytest_cache .hypothesis .mypy_cache .ruff_cache .coverage
