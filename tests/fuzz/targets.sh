#!/bin/sh
# Run the kernel's tests on builds for one instruction set each (needs gcc, cmake,
# ninja):
#   tests/fuzz/targets.sh FOLDER [PYTEST_ARGUMENTS...]
# The builds go to FOLDER; the installed kernel stays as it is. PYTHON names an
# interpreter with the test dependencies.
set -eu
folder=${1:?usage: tests/fuzz/targets.sh FOLDER [PYTEST_ARGUMENTS...]}
shift
here=$(cd "$(dirname "$0")" && pwd)

has() { grep -qw "$1" /proc/cpuinfo; }

targets=portable
if [ "$(uname -m)" = x86_64 ]; then
    targets="$targets x86-64"
    if has avx2; then targets="$targets x86-64-v3"; fi
    if has avx512_vpopcntdq; then targets="$targets icelake-server"; fi
fi
cd "$here/../.."
for target in $targets; do
    EIGERWATCH_TEST_KERNEL=$("$here/build.sh" "$folder/$target" \
        -DKERNEL_TARGET="$target")
    export EIGERWATCH_TEST_KERNEL
    echo "-- kernel built for $target"
    "${PYTHON:-python3}" -m pytest -p no:cacheprovider tests/unit/test_kernel.py "$@"
done
