# Two commands: `make demo` shows smbfs at work, `make test` proves it.  Both install what is
# missing first, on Debian 12 and Ubuntu 24.04 or newer, as root or as a user with sudo.

.DEFAULT_GOAL := help
.PHONY: help demo demo-stop test check bench torture fuzz clean

# $(USER) is always set by the login shell; it is meant only when it was typed.
AS := $(if $(filter command line,$(origin USER)),$(USER))

ROUNDS := 3
SEED := 1
RUNS := 10
KILLS := 0
JOBS := 1
MESSAGES := 1000000
DELAYS := 10,0
PEERS := smbfs,rclone,smbnetfs,gvfs
OUT := build/bench
SIZES := $(if $(QUICK),--quick)

help: ## say what there is
	@echo 'make demo                        mount a share of a private Samba and use it'
	@echo 'make demo SHARE=//nas/music USER=me   the same with a share of yours'
	@echo 'make demo-stop                   unmount it and stop that Samba'
	@echo 'make test                        run every test'
	@echo 'make check                       only what needs no running: style and types'
	@echo 'make bench                       measure how fast it is, and its peers; an hour'
	@echo 'make torture SEED=1 RUNS=10     bad days: seeded faults under programs that check themselves'
	@echo 'make fuzz MESSAGES=1000000      mutated messages for the parser and the client'
	@echo 'make clean                       remove what these made'

demo: ## SHARE=//server/share USER=name OPTIONS=mount,options MOUNTPOINT=directory
	@packaging/bootstrap
	@.venv/bin/python packaging/demo.py start --share '$(SHARE)' --user '$(AS)' \
		--options '$(OPTIONS)' --mountpoint '$(MOUNTPOINT)'

demo-stop:
	@packaging/bootstrap
	@.venv/bin/python packaging/demo.py stop

test:
	@packaging/bootstrap test
	@packaging/test

check:
	@packaging/bootstrap test
	@packaging/test check

bench: ## ROUNDS=3 DELAYS=10,0 PEERS=smbfs,rclone QUICK=1 OUT=build/bench
	@packaging/bootstrap bench
	@mkdir -p $(OUT)
	@.venv/bin/python -m tests.bench.kernel --rounds $(ROUNDS) | tee $(OUT)/kernel.txt
	@.venv/bin/python -m tests.bench.loopback --rounds $(ROUNDS) $(SIZES) | tee $(OUT)/loopback.txt
	@.venv/bin/python -m tests.bench.together | tee $(OUT)/together.txt
	@.venv/bin/python -m tests.bench.heavy $(SIZES) | tee $(OUT)/heavy.txt
	@.venv/bin/python -m tests.bench.distance.run --rounds $(ROUNDS) --delays $(DELAYS) \
		--peers $(PEERS) --guest --out $(OUT) $(SIZES)
	@echo 'All of it is in $(OUT).'

torture: ## SEED=1 RUNS=10 KILLS=0 JOBS=1 OUT=build/torture
	@packaging/bootstrap test
	@.venv/bin/python -m tests.torture --seed $(SEED) --runs $(RUNS) --kills $(KILLS) \
		--jobs $(JOBS) --out $(OUT)/torture.json

fuzz: ## SEED=1 MESSAGES=1000000
	@packaging/bootstrap test
	@.venv/bin/python -m tests.fuzz.run --seed $(SEED) --messages $(MESSAGES)

clean: demo-stop
	rm -rf --one-file-system .venv .demo build *.egg-info .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find smbfs tests packaging -name __pycache__ -type d -exec rm -rf {} +
