#!/bin/sh
# Run the fuzz target on AArch64, emulated, over a corpus of inputs (needs Debian's
# gcc-aarch64-linux-gnu and qemu-user-static):
#   tests/fuzz/aarch64.sh FOLDER [CORPUS]
# Builds in FOLDER. CORPUS is a folder of inputs, such as run.sh leaves behind; without
# it, seeds.py makes some. PYTHON names an interpreter with the test dependencies.
set -eu
folder=${1:?usage: tests/fuzz/aarch64.sh FOLDER [CORPUS]}
here=$(cd "$(dirname "$0")" && pwd)
kernel=$here/../../service/kernel
corpus=${2:-$folder/corpus}

mkdir -p "$folder"
[ -d "$corpus" ] || "${PYTHON:-python3}" "$here/seeds.py" "$corpus"
aarch64-linux-gnu-gcc -std=c11 -g -O2 -Wall -Wextra -Wconversion -Werror -static \
    -I"$kernel" "$kernel"/blocks.c "$kernel"/reduce.c "$kernel"/decode.c \
    "$kernel"/variant*.c "$here"/fuzz_reduce.c "$here"/files.c -o "$folder/fuzz_reduce"
find "$corpus" -type f -print0 | xargs -0 qemu-aarch64-static "$folder/fuzz_reduce"
