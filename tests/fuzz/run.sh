#!/bin/sh
# Fuzz the C kernel for SECONDS with libFuzzer, ASan and UBSan (needs clang):
#   tests/fuzz/run.sh SECONDS [FOLDER]
# Builds and keeps its corpus in FOLDER, by default a temporary one. PYTHON names an
# interpreter with the test dependencies, for the seeds.
set -eu
seconds=${1:?usage: tests/fuzz/run.sh SECONDS [FOLDER]}
here=$(cd "$(dirname "$0")" && pwd)
kernel=$here/../../service/kernel
folder=${2:-$(mktemp -d)}
CC=${CC:-clang}
PYTHON=${PYTHON:-python3}
flags="-std=c11 -g -O2 -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined -I$kernel"
avx2="-mavx2 -mbmi -mbmi2 -mpopcnt"
avx512="$avx2 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vbmi -mavx512vpopcntdq"

mkdir -p "$folder/corpus"
"$PYTHON" "$here/seeds.py" "$folder/corpus"
cd "$folder"
objects=
for source in "$kernel"/blocks.c "$kernel"/reduce.c "$kernel"/decode.c \
    "$kernel"/variant*.c "$here"/fuzz_reduce.c; do
    name=$(basename "$source" .c)
    extra=
    if [ "$(uname -m)" = x86_64 ]; then
        case $name in
        variant_avx2) extra=$avx2 ;;
        variant_avx512) extra=$avx512 ;;
        esac
    fi
    $CC $flags $extra -c "$source" -o "$name.o"
    objects="$objects $name.o"
done
$CC -fsanitize=address,undefined,fuzzer $objects -o fuzz_reduce
exec ./fuzz_reduce -max_total_time="$seconds" -max_len=40000 -print_final_stats=1 corpus
