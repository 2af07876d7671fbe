# Everything runs from .venv, which the first target that needs it makes.
PYTHON ?= python3
BIN := .venv/bin
BUILT := .venv/.built
# Seconds of `make soak`, events of `make model` and of the soak's model, and a seed for both.
TIME ?= 600
EVENTS ?= 1000000
SEED ?= 1
CFLAGS_STRICT := -Wall -Wextra -Wconversion -Wshadow -Werror

.PHONY: demo test slow lint bench docs coverage fuzz fuzz-short instructions instructions-update model soak clean

$(BUILT): pyproject.toml setup.py $(wildcard csrc/*)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[bench,lint]'
	touch $@

demo: $(BUILT)
	$(BIN)/fastmld demo

# What needs namespaces goes by the clock, and has the machine for itself.
test: $(BUILT)
	$(BIN)/pytest -n 2 -m "not live and not soak and not slow" $(PYTEST_ARGS)
	$(BIN)/pytest -m "live and not slow" $(PYTEST_ARGS)

# What goes on for longer: exhaustive sets, and a kernel's timers.
slow: $(BUILT)
	$(BIN)/pytest -n 2 -m "slow and not live" $(PYTEST_ARGS)
	$(BIN)/pytest -m "slow and live" $(PYTEST_ARGS)

model: $(BUILT)
	FASTMLD_MODEL_EVENTS=$(EVENTS) FASTMLD_SEED=$(SEED) $(BIN)/pytest -q -n 2 tests/test_model.py tests/test_model_v2.py \
		-k "test_a_long_life or test_long_lives"

soak: $(BUILT)
	$(BIN)/python tests/soak/soak.py --time $(TIME) --seed $(SEED)

lint: $(BUILT)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	for source in $(wildcard csrc/*.c tests/c/*.c); do \
		$(CC) -std=c11 -O2 -D_GNU_SOURCE -Icsrc $(CFLAGS_STRICT) -fsyntax-only $$source || exit 1; \
	done

docs: $(BUILT)
	$(BIN)/python docs/generate.py $(REPORT)

bench: $(BUILT)
	$(BIN)/fastmld bench $(BENCH_ARGS)

# Branches of the ladder that the tests of frames take; exits 1 below all of them.
coverage: $(BUILT)
	$(BIN)/python tests/c/coverage.py

# Of the C alone, without .venv: TIME= seconds of fuzzing; instructions a packet, and how to accept them.
fuzz fuzz-short instructions instructions-update:
	$(MAKE) -f tests/c/fuzz.mk $@

clean:
	rm -rf .venv build *.egg-info fastmld/_fastmld.*
