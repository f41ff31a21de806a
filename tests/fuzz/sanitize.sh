#!/bin/sh
# Run the kernel's tests on a build with ASan and UBSan (needs gcc, cmake, ninja):
#   tests/fuzz/sanitize.sh FOLDER [PYTEST_ARGUMENTS...]
# The build goes to FOLDER; the installed kernel stays as it is. PYTHON names an
# interpreter with the test dependencies.
set -eu
folder=${1:?usage: tests/fuzz/sanitize.sh FOLDER [PYTEST_ARGUMENTS...]}
shift
root=$(cd "$(dirname "$0")/../.." && pwd)
PYTHON=${PYTHON:-python3}

mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
cmake -S "$root/service/kernel" -B "$folder" -G Ninja -DCMAKE_C_COMPILER=gcc \
    -DCMAKE_BUILD_TYPE=RelWithDebInfo -DKERNEL_SANITIZE=ON \
    -DPython_EXECUTABLE="$(command -v "$PYTHON")"
cmake --build "$folder"
EIGERWATCH_TEST_KERNEL=$(ls "$folder"/_kernel*.so)
LD_PRELOAD=$(gcc -print-file-name=libasan.so):$(gcc -print-file-name=libubsan.so)
ASAN_OPTIONS=detect_leaks=0
export EIGERWATCH_TEST_KERNEL LD_PRELOAD ASAN_OPTIONS
cd "$root"
exec "$PYTHON" -m pytest -p no:cacheprovider --timeout=300 tests/unit/test_kernel.py \
    tests/fuzz/test_fuzz_kernel.py "$@"
