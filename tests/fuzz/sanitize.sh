#!/bin/sh
# Run the kernel's tests on a build with ASan and UBSan (needs gcc, cmake, ninja):
#   tests/fuzz/sanitize.sh FOLDER [PYTEST_ARGUMENTS...]
# The build goes to FOLDER; the installed kernel stays as it is. PYTHON names an
# interpreter with the test dependencies.
set -eu
folder=${1:?usage: tests/fuzz/sanitize.sh FOLDER [PYTEST_ARGUMENTS...]}
shift
here=$(cd "$(dirname "$0")" && pwd)

EIGERWATCH_TEST_KERNEL=$("$here/build.sh" "$folder" -DKERNEL_SANITIZE=ON \
    -DCMAKE_BUILD_TYPE=RelWithDebInfo)
LD_PRELOAD=$(gcc -print-file-name=libasan.so):$(gcc -print-file-name=libubsan.so)
ASAN_OPTIONS=detect_leaks=0
export EIGERWATCH_TEST_KERNEL LD_PRELOAD ASAN_OPTIONS
cd "$here/../.."
exec "${PYTHON:-python3}" -m pytest -p no:cacheprovider --timeout=300 \
    tests/unit/test_kernel.py tests/fuzz/test_fuzz_kernel.py "$@"
