# The harnesses around the C. Run from the top: make fuzz, fuzz-short, instructions, instructions-update.
CC := gcc
CLANG ?= clang-14
PYTHON ?= python3
TIME ?= 600
SEED ?= $(shell date +%s)
OUT := build/fuzz
CORPUS := tests/c/corpus

BASIC := -std=c11 -g -D_GNU_SOURCE -Wall -Wextra -Wconversion -Wshadow -Werror -Icsrc -Itests/c
SANITIZE := address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
BRANCHLESS := -Wno-bitwise-instead-of-logical
FIXED := $(BASIC) -O2 -fno-lto
HEADERS := $(wildcard csrc/*.h tests/c/*.h) tests/c/fuzz.mk
CORE := $(addprefix csrc/,ladder.c group_table.c rows.c classify.c ask.c recorded.c emit.c emit2.c)
SHARED := $(addprefix tests/c/,mutate.c frames.c oracle.c guard.c)
PARSER := tests/c/parser.c $(SHARED) csrc/ladder.c
PATHS := $(addprefix tests/c/,path.c world.c replay.c timers.c path_calls.c) $(SHARED) $(CORE)
ANSWERS := $(addprefix tests/c/,answers.c asked.c world.c) $(SHARED) $(CORE)
RING := tests/c/ring.c tests/c/guard.c csrc/ring.c
COUNTED := tests/c/instructions.c tests/c/path_calls.c tests/c/frames.c $(CORE)

PLAIN := $(addprefix $(OUT)/,parser path answers ring)
GUIDED := $(if $(shell command -v $(CLANG)),guided,no-clang)

.PHONY: fuzz fuzz-short guided no-clang plain instructions instructions-update

# TIME seconds in all, on two cores: the parser under libFuzzer on one, everything else on the other.
fuzz: $(PLAIN)
	$(MAKE) -f tests/c/fuzz.mk -j2 $(GUIDED) plain RUNS=-1 SEED=$(SEED)

plain: $(PLAIN)
	cd $(OUT) && ./path 0 $$(($(TIME) / 4)) $(SEED) && ./answers 0 $$(($(TIME) / 4)) $(SEED) && ./ring 0 $$(($(TIME) / 4)) $(SEED)
	cd $(OUT) && ./parser 0 $$(($(TIME) / 4)) $(SEED) $(abspath $(CORPUS))/*.bin

# For CI: the same inputs every time, ten million of them for the parser.
fuzz-short: SEED := 1
fuzz-short: $(PLAIN)
	$(MAKE) -f tests/c/fuzz.mk $(GUIDED) RUNS=1000000 TIME=60 SEED=$(SEED)
	cd $(OUT) && ./path 100000 0 $(SEED) && ./answers 20000 0 $(SEED) && ./ring 200000 0 $(SEED)
	cd $(OUT) && ./parser 10000000 0 $(SEED) $(abspath $(CORPUS))/*.bin

guided: $(OUT)/parser-libfuzzer
	mkdir -p $(OUT)/found
	$< -runs=$(RUNS) -max_total_time=$(TIME) -seed=$(SEED) -max_len=4096 -verbosity=0 -artifact_prefix=$(OUT)/ \
		$(OUT)/found $(CORPUS)

no-clang:
	@echo "no $(CLANG): the parser is tried without libFuzzer"

instructions: $(OUT)/instructions
	$(PYTHON) tests/c/instructions.py $< $(CC)

instructions-update: $(OUT)/instructions
	$(PYTHON) tests/c/instructions.py $< $(CC) --update

$(OUT)/parser: $(PARSER)
$(OUT)/path: $(PATHS)
$(OUT)/answers: $(ANSWERS)
$(OUT)/ring: $(RING)
$(PLAIN): tests/c/driver.c $(HEADERS)
	@mkdir -p $(OUT)
	$(CC) $(BASIC) -O2 -fsanitize=$(SANITIZE) -o $@ $(filter %.c,$^)

$(OUT)/parser-libfuzzer: tests/c/libfuzzer.c $(PARSER) $(HEADERS)
	@mkdir -p $(OUT)
	$(CLANG) $(BASIC) $(BRANCHLESS) -O2 -fsanitize=fuzzer,$(SANITIZE) -o $@ $(filter %.c,$^)

$(OUT)/instructions: $(COUNTED) $(HEADERS)
	@mkdir -p $(OUT)
	$(CC) $(FIXED) -o $@ $(filter %.c,$^)
